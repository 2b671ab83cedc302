//! Where the rows of a 1x1 convolution's product lie in its input.

use std::ops::Range;

use crate::kernels::arithmetic::Value;
use crate::kernels::gemm::Rows;
use crate::kernels::lines::{Lines, RowsInLines};

/// Every `stride`th pixel of every `stride`th line.
pub(super) struct Strided<'a, V> {
    /// `[N, side, side, C]`
    pub(super) values: &'a [V],
    pub(super) side: usize,
    pub(super) stride: usize,
    /// From a pixel to the next.
    pub(super) pixel_stride: usize,
    /// Which of the output's pixels.
    pub(super) pixels: Range<usize>,
}

impl<V: Value> Rows<V> for Strided<'_, V> {
    type Place = usize;

    #[inline(always)]
    fn num_rows(&self) -> usize {
        self.pixels.len()
    }

    #[inline(always)]
    fn place(&self, row: usize) -> usize {
        let out_side = self.side / self.stride;
        // Lines of all images follow each other, and a line of output takes `stride` of them.
        let pixel = self.pixels.start + row;
        let (line, column) = (pixel / out_side, pixel % out_side);
        (line * self.side + column) * self.stride * self.pixel_stride
    }

    #[inline(always)]
    fn segment(&self, place: usize, _segment: usize) -> &[V] {
        &self.values[place..]
    }
}

impl<V: Value> RowsInLines<V> for Strided<'_, V> {
    fn lines(&self) -> Lines<'_, V> {
        let line_stride = self.side * self.stride * self.pixel_stride;
        Lines {
            values: self.values,
            segments: &[0],
            row_stride: self.stride * self.pixel_stride,
            line_len: self.side / self.stride,
            line_stride,
            image_len: 1,
            image_stride: line_stride,
            skipped: self.pixels.start,
        }
    }
}
