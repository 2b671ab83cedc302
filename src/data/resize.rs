//! A part of an image to a square of pixels.

mod rows;

use fast_image_resize::images::{TypedCroppedImage, TypedImage, TypedImageRef};
use fast_image_resize::pixels::U8x3;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};
use image::RgbImage;

use super::section::{Rectangle, Section};
pub(super) use rows::ResizedRows;

/// What a worker keeps from image to image, so that no image allocates a buffer.
#[derive(Debug, Default)]
pub struct Scratch {
    resizer: Resizer,
    rows: ResizedRows,
    /// `[side, side, 3]` u8.
    square: Vec<u8>,
}

impl Scratch {
    /// Resizes a section of `image`: `[side, side, 3]` u8.
    ///
    /// # Panics
    /// When the section is empty or not inside of the image.
    pub fn resize(&mut self, image: &RgbImage, section: &Section) -> &[u8] {
        let Scratch { resizer, square, .. } = self;
        let (width, height) = image.dimensions();
        resize(resizer, (width, height, image.as_raw()), section, square);
        &self.square
    }

    /// What was resized last: `[side, side, 3]` u8.
    pub fn square(&self) -> &[u8] {
        &self.square
    }

    /// Takes the rows of an image as they are decoded, of which [`Scratch::resize_rows`] makes the square.
    pub(super) fn rows(&mut self) -> &mut ResizedRows {
        &mut self.rows
    }

    /// The same as [`Scratch::resize`] of the image that the rows were taken of.
    pub(super) fn resize_rows(&mut self, section: &Section) {
        let Scratch { resizer, rows, square } = self;
        debug_assert!(rows.is_complete(), "the decoder left out rows");
        let Section { visible, side, .. } = *section;
        // Across alone.
        let visible = Rectangle { top: 0, height: side, ..visible };
        let section = Section { visible, top: 0.0, height: side.into(), ..*section };
        resize(resizer, rows.resized(), &section, square);
    }
}

/// `image`: width, height, `[height, width, 3]` u8.
fn resize(
    resizer: &mut Resizer,
    (width, height, pixels): (u32, u32, &[u8]),
    section: &Section,
    square: &mut Vec<u8>,
) {
    let Section { visible, side, .. } = *section;
    assert!(section.width > 0.0 && section.height > 0.0, "a section without pixels");
    // Every byte is overwritten: only a new size makes this touch memory.
    square.resize((side * side * 3) as usize, 0);
    let options = ResizeOptions::new()
        .resize_alg(ResizeAlg::Convolution(FilterType::Bilinear))
        .crop(section.left, section.top, section.width, section.height);
    // The typed call, since the other one compiles every pixel type's kernels into this crate;
    // and a single one, since each compiles them once more.
    let Rectangle { left, top, width: visible_width, height: visible_height } = visible;
    let resized = TypedImageRef::<U8x3>::from_buffer(width, height, pixels)
        .map_err(|error| error.to_string())
        .and_then(|image| {
            let source = TypedCroppedImage::new(image, left, top, visible_width, visible_height)
                .map_err(|error| error.to_string())?;
            let mut target = TypedImage::<U8x3>::from_buffer(side, side, square)
                .map_err(|error| error.to_string())?;
            resizer.resize_typed(&source, &mut target, &options).map_err(|error| error.to_string())
        });
    if let Err(error) = resized {
        unreachable!("the section lies inside of the image: {error}");
    }
    if section.is_mirrored {
        for row in square.chunks_exact_mut(side as usize * 3) {
            row.as_chunks_mut::<3>().0.reverse();
        }
    }
}
