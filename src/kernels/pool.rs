//! Pooling.

use pulp::Simd;

use super::isa::{Isa, Kernel};

/// Maximum over 3x3 pixels in steps of 2: `2 n + 1` lines of `[width, C]`, none negative, to `n` lines of
/// `[width / 2, C]` f32. The first line lies above the first window's centre, a pixel left of the image
/// counts as zeros. `width` is even, `num_channels` a multiple of [`Isa::lanes`].
pub fn max_pool(isa: Isa, lines: &[f32], width: usize, num_channels: usize, out: &mut [f32]) {
    isa.run(MaxPool { lines, width, num_channels, out });
}

struct MaxPool<'a> {
    lines: &'a [f32],
    width: usize,
    num_channels: usize,
    out: &'a mut [f32],
}

impl Kernel for MaxPool<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let num_vectors = self.num_channels / S::F32_LANES;
        let line_len = self.width * num_vectors;
        let lines = S::as_simd_f32s(self.lines).0;
        let out = S::as_mut_simd_f32s(self.out).0;
        let zero = simd.splat_f32s(0.0);
        for (y, out) in out.chunks_exact_mut(line_len / 2).enumerate() {
            let lines = &lines[2 * y * line_len..(2 * y + 3) * line_len];
            for (x, out) in out.chunks_exact_mut(num_vectors).enumerate() {
                for (vector, out) in out.iter_mut().enumerate() {
                    let mut max = zero;
                    for line in 0..3 {
                        let pixel = line * line_len + 2 * x * num_vectors + vector;
                        if x > 0 {
                            max = simd.max_f32s(max, lines[pixel - num_vectors]);
                        }
                        max = simd.max_f32s(max, lines[pixel]);
                        max = simd.max_f32s(max, lines[pixel + num_vectors]);
                    }
                    *out = max;
                }
            }
        }
    }
}

/// Mean over all pixels: `[pixels, C]`, `stride` from one to the next, to `[C]` f32.
pub fn average_pool(input: &[f32], stride: usize, out: &mut [f32]) {
    let num_pixels = input.len() / stride;
    out.fill(0.0);
    for pixel in input.chunks_exact(stride) {
        for (out, &value) in out.iter_mut().zip(pixel) {
            *out += value;
        }
    }
    let scale = 1.0 / num_pixels as f32;
    for out in out {
        *out *= scale;
    }
}
