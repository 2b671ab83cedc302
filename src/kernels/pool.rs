//! Pooling.

use pulp::Simd;

use super::arithmetic::{MAX_PARTS, Value};
use super::isa::{Isa, Kernel};

/// Maximum over 3x3 pixels in steps of 2: `2 n + 1` lines of `[width, C]` f32, none negative, to `n`
/// lines of `[width / 2, C]`. The first line lies above the first window's centre, a pixel left of the
/// image counts as zeros. `width` is even. Channels lie in the order of [`Value::channel`] and fill whole
/// vectors of `V`.
pub fn max_pool<V: Value>(
    isa: Isa,
    lines: &[f32],
    width: usize,
    num_channels: usize,
    out: &mut [V],
) {
    isa.run(MaxPool { lines, width, num_channels, out });
}

struct MaxPool<'a, V> {
    lines: &'a [f32],
    width: usize,
    num_channels: usize,
    out: &'a mut [V],
}

impl<V: Value> Kernel for MaxPool<'_, V> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let num_vectors = self.num_channels / S::F32_LANES;
        let line_len = self.width * num_vectors;
        let lines = S::as_simd_f32s(self.lines).0;
        let out = V::vectors_mut::<S>(self.out);
        let zero = simd.splat_f32s(0.0);
        let pixel_len = num_vectors / V::CHANNELS;
        for (y, out) in out.chunks_exact_mut(self.width / 2 * pixel_len).enumerate() {
            let lines = &lines[2 * y * line_len..(2 * y + 3) * line_len];
            for (x, out) in out.chunks_exact_mut(pixel_len).enumerate() {
                for (vector, out) in out.iter_mut().enumerate() {
                    let mut parts = [zero; MAX_PARTS];
                    for part in 0..V::CHANNELS {
                        let mut max = zero;
                        for line in 0..3 {
                            let pixel = line * line_len + 2 * x * num_vectors;
                            let place = pixel + vector * V::CHANNELS + part;
                            if x > 0 {
                                max = simd.max_f32s(max, lines[place - num_vectors]);
                            }
                            max = simd.max_f32s(max, lines[place]);
                            max = simd.max_f32s(max, lines[place + num_vectors]);
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
