//! Where rows of a product lie that are spaced regularly.

use super::gemm::Rows;

/// The left matrix of a product whose rows are spaced regularly.
pub trait RowsInLines<T>: Rows<T> {
    /// Where all of them lie.
    fn lines(&self) -> Lines<'_, T>;
}

/// Rows in lines: those of a line lie equally far apart, as do an image's lines and the images. Distances
/// are in values; those between lines and between images are multiples of that between rows.
#[derive(Debug, Clone, Copy)]
pub struct Lines<'a, T> {
    /// What the rows lie in.
    pub values: &'a [T],
    /// From where a row begins to each of its segments.
    pub segments: &'a [usize],
    /// From a row to the next of its line.
    pub row_stride: usize,
    /// Rows of a line.
    pub line_len: usize,
    /// From a line to the next of its image.
    pub line_stride: usize,
    /// Lines of an image.
    pub image_len: usize,
    /// From an image to the next.
    pub image_stride: usize,
    /// Rows that come before the first.
    pub skipped: usize,
}

impl<T> Lines<'_, T> {
    /// Where a row begins.
    #[inline(always)]
    pub fn place(&self, row: usize) -> usize {
        let row = self.skipped + row;
        let (line, column) = (row / self.line_len, row % self.line_len);
        let (image, line) = (line / self.image_len, line % self.image_len);
        image * self.image_stride + line * self.line_stride + column * self.row_stride
    }

    /// Rows from this one to the end of its line, itself included.
    pub fn left_in_line(&self, row: usize) -> usize {
        self.line_len - (self.skipped + row) % self.line_len
    }
}
