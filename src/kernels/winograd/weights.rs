//! Kernels of 3x3 to their values at Winograd's pairs of points.

use pulp::Simd;

use super::{A, A2, B, B2, POINTS};
use crate::kernels::isa::{Isa, Kernel};

/// Weights of a kernel.
const TAPS: usize = 9;
/// Kernels that are transposed at once: a cache line of each of their weights.
const INPUTS: usize = 16;
/// Values that are computed at once.
const BLOCK: usize = 16;

/// The weights of a convolution, `[9, in, out]` f32.
pub(super) struct Taps {
    isa: Isa,
    values: Vec<f32>,
}

impl Taps {
    /// Of `weight`, `[out, in, 3, 3]` f32; `output` tells which output lies at a place.
    pub(super) fn new(
        isa: Isa,
        in_channels: usize,
        out_channels: usize,
        weight: &[f32],
        output: impl Fn(usize) -> usize,
    ) -> Self {
        let plane_len = in_channels * out_channels;
        let mut values = vec![0.0; TAPS * plane_len];
        for first_input in (0..in_channels).step_by(INPUTS) {
            let inputs = first_input..in_channels.min(first_input + INPUTS);
            for place in 0..out_channels {
                let kernels = &weight[output(place) * in_channels * TAPS..];
                for input in inputs.clone() {
                    for (tap, &value) in kernels[input * TAPS..][..TAPS].iter().enumerate() {
                        values[tap * plane_len + input * out_channels + place] = value;
                    }
                }
            }
        }
        Taps { isa, values }
    }

    /// Writes the values of all kernels, `[in, out]` f32, at a pair of points. Sums are taken in f64 and
    /// rounded once.
    pub(super) fn at_points(&self, row: usize, column: usize, values: &mut Vec<f32>) {
        values.resize(self.values.len() / TAPS, 0.0);
        let factors = std::array::from_fn(|tap| ROWS[row][tap / 3] * ROWS[column][tap % 3]);
        self.isa.run(Combine { taps: &self.values, factors, sums: values });
    }
}

/// The sums of all planes, each times its factor.
struct Combine<'a> {
    /// `[9, len]`
    taps: &'a [f32],
    factors: [f64; TAPS],
    /// `[len]`
    sums: &'a mut [f32],
}

impl Kernel for Combine<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, _simd: S) {
        let len = self.sums.len();
        let taps: [&[f32]; TAPS] =
            std::array::from_fn(|tap| &self.taps[tap * len..(tap + 1) * len]);
        let (blocks, rest) = self.sums.as_chunks_mut::<BLOCK>();
        for (index, out) in blocks.iter_mut().enumerate() {
            let mut sums = [0.0f64; BLOCK];
            for tap in 0..TAPS {
                let values = &taps[tap][index * BLOCK..][..BLOCK];
                for lane in 0..BLOCK {
                    sums[lane] += self.factors[tap] * f64::from(values[lane]);
                }
            }
            for lane in 0..BLOCK {
                out[lane] = sums[lane] as f32;
            }
        }
        let first = len - rest.len();
        for (index, out) in (first..).zip(rest) {
            let mut sum = 0.0;
            for tap in 0..TAPS {
                sum += self.factors[tap] * f64::from(taps[tap][index]);
            }
            *out = sum as f32;
        }
    }
}

/// What the weights of a kernel's line are multiplied with for their value at each point.
const ROWS: [[f64; 3]; POINTS] = {
    const fn at(point: f64, scale: f64) -> [f64; 3] {
        [1.0 / scale, point / scale, point * point / scale]
    }
    [
        at(0.0, A2 * B2),
        at(A, 2.0 * A2 * (A2 - B2)),
        at(-A, 2.0 * A2 * (A2 - B2)),
        at(B, 2.0 * B2 * (B2 - A2)),
        at(-B, 2.0 * B2 * (B2 - A2)),
        [0.0, 0.0, 1.0],
    ]
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kernel_is_transformed_alone_and_found_at_its_place() {
        let (in_channels, out_channels) = (INPUTS + 3, 7);
        let value = |index: usize| (index * 37 % 101) as f32 - 50.0;
        let weight: Vec<f32> = (0..out_channels * in_channels * TAPS).map(value).collect();
        let output = |place: usize| (place * 3 + 1) % out_channels;
        for isa in Isa::supported().into_iter().chain([Isa::Portable]) {
            let taps = Taps::new(isa, in_channels, out_channels, &weight, output);
            let mut found = Vec::new();
            for (row, column) in [(0, 0), (1, 4), (5, 2)] {
                taps.at_points(row, column, &mut found);
                for input in 0..in_channels {
                    for place in 0..out_channels {
                        let kernel = &weight[(output(place) * in_channels + input) * TAPS..];
                        let mut expected = 0.0;
                        for (tap, &value) in kernel[..TAPS].iter().enumerate() {
                            expected +=
                                ROWS[row][tap / 3] * ROWS[column][tap % 3] * f64::from(value);
                        }
                        let found = found[input * out_channels + place];
                        assert_eq!(found, expected as f32, "input {input}, place {place}");
                    }
                }
            }
        }
    }
}
