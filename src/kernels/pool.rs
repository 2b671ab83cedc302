//! Pooling.

use pulp::Simd;

use super::arithmetic::{MAX_PARTS, Value};
use super::isa::{Isa, Kernel};

/// Maximum over 3x3 pixels in steps of 2: `2 n + 1` lines of `[width, C]`, none negative, to `n` lines
/// of `[width / 2, C]`. The first line lies above the first window's centre, a pixel left of the image
/// counts as zeros. `width` is even. A pixel has `pixel_len` values, which fill whole vectors.
pub fn max_pool<V: Value>(isa: Isa, lines: &[V], width: usize, pixel_len: usize, out: &mut [V]) {
    isa.run(MaxPool { lines, width, pixel_len, out });
}

struct MaxPool<'a, V> {
    lines: &'a [V],
    width: usize,
    pixel_len: usize,
    out: &'a mut [V],
}

impl<V: Value> Kernel for MaxPool<'_, V> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let pixel_len = self.pixel_len / S::F32_LANES;
        let line_len = self.width * pixel_len;
        let lines = V::vectors::<S>(self.lines);
        let out = V::vectors_mut::<S>(self.out);
        let zero = simd.splat_f32s(0.0);
        for (y, out) in out.chunks_exact_mut(self.width / 2 * pixel_len).enumerate() {
            let lines = &lines[2 * y * line_len..(2 * y + 3) * line_len];
            for (x, out) in out.chunks_exact_mut(pixel_len).enumerate() {
                for (vector, out) in out.iter_mut().enumerate() {
                    let mut parts = [zero; MAX_PARTS];
                    for part in 0..V::CHANNELS {
                        let mut max = zero;
                        for line in 0..3 {
                            let place = line * line_len + 2 * x * pixel_len + vector;
                            let left = if x > 0 { place - pixel_len } else { place };
                            for place in [left, place, place + pixel_len] {
                                max = simd.max_f32s(max, V::part(simd, lines[place], part));
                            }
                        }
                        parts[part] = max;
                    }
                    *out = V::join(simd, parts);
                }
            }
        }
    }
}

/// Mean over all pixels: `[pixels, C]`, `stride` from one to the next, to `[C]` f32.
pub fn average_pool<V: Value>(isa: Isa, input: &[V], stride: usize, out: &mut [f32]) {
    let mut sums = vec![0.0; out.len()];
    isa.run(Sum { input, stride, sums: &mut sums });
    let scale = 1.0 / (input.len() / stride) as f32;
    for (place, sum) in sums.into_iter().enumerate() {
        out[V::channel(place, isa.lanes())] = sum * scale;
    }
}

/// Adds up all pixels.
struct Sum<'a, V> {
    input: &'a [V],
    stride: usize,
    /// `[C]` in the order of [`Value::channel`].
    sums: &'a mut [f32],
}

impl<V: Value> Kernel for Sum<'_, V> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let sums = S::as_mut_simd_f32s(self.sums).0;
        for pixel in self.input.chunks_exact(self.stride) {
            for (&vector, sums) in
                V::vectors::<S>(pixel).iter().zip(sums.chunks_exact_mut(V::CHANNELS))
            {
                for part in 0..V::CHANNELS {
                    sums[part] = simd.add_f32s(sums[part], V::part(simd, vector, part));
                }
            }
        }
    }
}
