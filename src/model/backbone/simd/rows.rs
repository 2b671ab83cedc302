//! Where the rows of a convolution's product lie in its input.

use std::ops::Range;

use crate::kernels::arithmetic::Value;
use crate::kernels::gemm::Rows;

/// Where the nine input pixels of each output pixel of a 3x3 kernel lie.
#[derive(Debug)]
pub(super) struct Taps<V> {
    /// `[pixels, 9]`: offset in an image, or [`OUTSIDE`].
    offsets: Vec<u32>,
    image_len: usize,
    /// Stands for a pixel outside.
    zeros: Vec<V>,
}

const OUTSIDE: u32 = u32::MAX;

impl<V: Value> Taps<V> {
    /// For square images of `side` pixels a side with `pixel_len` values each.
    pub(super) fn new(side: usize, stride: usize, pixel_len: usize) -> Self {
        let mut offsets = Vec::new();
        for y in (0..side).step_by(stride) {
            for x in (0..side).step_by(stride) {
                for tap in 0..9 {
                    // One pixel up and left where the kernel begins.
                    let (row, column) = (y + tap / 3, x + tap % 3);
                    let inside = (1..=side).contains(&row) && (1..=side).contains(&column);
                    offsets.push(if inside {
                        (((row - 1) * side + column - 1) * pixel_len) as u32
                    } else {
                        OUTSIDE
                    });
                }
            }
        }
        let image_len = side * side * pixel_len;
        Taps { offsets, image_len, zeros: vec![V::default(); pixel_len] }
    }
}

/// Each output pixel's nine input pixels.
pub(super) struct TapRows<'a, V> {
    pub(super) input: &'a [V],
    pub(super) taps: &'a Taps<V>,
}

impl<V: Value> Rows<V> for TapRows<'_, V> {
    /// Where the image begins, and where the pixel's offsets do.
    type Place = (usize, usize);

    #[inline(always)]
    fn num_rows(&self) -> usize {
        self.input.len() / self.taps.image_len * (self.taps.offsets.len() / 9)
    }

    #[inline(always)]
    fn place(&self, row: usize) -> (usize, usize) {
        let num_pixels = self.taps.offsets.len() / 9;
        (row / num_pixels * self.taps.image_len, row % num_pixels * 9)
    }

    #[inline(always)]
    fn segment(&self, (image, pixel): (usize, usize), segment: usize) -> &[V] {
        match self.taps.offsets[pixel + segment] {
            OUTSIDE => &self.taps.zeros,
            offset => &self.input[image + offset as usize..],
        }
    }
}

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
