//! Which part of an image a view shows.

/// A part of an image, in whole pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rectangle {
    /// Columns to its left.
    pub left: u32,
    /// Rows above it.
    pub top: u32,
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

/// A part of an image that is resized to a square, bilinear and antialiased. It may begin and end between
/// pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Section {
    /// Beyond this the filter sees nothing.
    pub visible: Rectangle,
    /// From the left of `visible`, in pixels.
    pub left: f64,
    /// From the top of `visible`, in pixels.
    pub top: f64,
    /// In pixels of the image.
    pub width: f64,
    /// In pixels of the image.
    pub height: f64,
    /// Of the square, in pixels. Not 0.
    pub side: u32,
    /// Left to right, once it is resized.
    pub is_mirrored: bool,
}

impl Rectangle {
    /// An image of this size.
    pub fn whole(width: u32, height: u32) -> Self {
        Rectangle { left: 0, top: 0, width, height }
    }
}

impl Section {
    /// A rectangle inside of an image, as after a crop: what lies around it does not shine into its edges.
    pub fn of(part: Rectangle, side: u32) -> Self {
        let (width, height) = (part.width.into(), part.height.into());
        Section { visible: part, left: 0.0, top: 0.0, width, height, side, is_mirrored: false }
    }

    /// The pixels that it is made of: what it shows and, around it, what the filter reaches.
    pub fn needed(&self) -> Rectangle {
        let Rectangle { left, top, width, height } = self.visible;
        let (first_column, width) = reached(self.left, self.width, self.side, width);
        let (first_row, height) = reached(self.top, self.height, self.side, height);
        Rectangle { left: left + first_column, top: top + first_row, width, height }
    }
}

/// One dimension of what the filter reads of a `source` image to resize `len` pixels from `start` on
/// to `resized` ones: where it starts, how much it is.
fn reached(start: f64, len: f64, resized: u32, source: u32) -> (u32, u32) {
    // The triangle is as wide as a resized pixel, at least as a pixel, to either side. Two pixels
    // more than that, since it ends between pixels.
    let reach = (len / f64::from(resized)).max(1.0) + 2.0;
    let first = (start - reach).floor().max(0.0) as u32;
    let end = ((start + len + reach).ceil() as u32).min(source);
    (first, end - first)
}
