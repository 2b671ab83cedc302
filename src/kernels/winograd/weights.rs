//! Kernels of 3x3 to their values at Winograd's pairs of points.

use pulp::Simd;

use super::{A, A2, B, B2, POINTS};
use crate::kernels::isa::Kernel;
use crate::kernels::panels::OUTPUTS;

/// Weights of a kernel.
pub(super) const TAPS: usize = 9;
/// Side of a kernel.
const SIDE: usize = 3;
/// Outputs that are computed at once: their numbers stay in registers.
const BLOCK: usize = 16;

/// The values of a panel's kernels at the pairs of one point with each. Sums are taken in f64, over the columns
/// of a kernel and then over its lines, and rounded once.
pub(super) struct TransformWeights<'a> {
    /// The first point of the pairs.
    pub(super) point: usize,
    /// `[in, 9, 32]`
    pub(super) kernels: &'a [[f32; OUTPUTS]],
    /// `[6, in, 32]`
    pub(super) planes: &'a mut [[f32; OUTPUTS]],
}

impl Kernel for TransformWeights<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, _simd: S) {
        let kernels = self.kernels.as_chunks::<TAPS>().0;
        let mut planes = self.planes.chunks_exact_mut(kernels.len());
        let planes: [_; POINTS] = std::array::from_fn(|_| planes.next().unwrap_or_default());
        for (input, kernel) in kernels.iter().enumerate() {
            for first in (0..OUTPUTS).step_by(BLOCK) {
                let mut columns = [[0.0; BLOCK]; SIDE];
                for column in 0..SIDE {
                    let mut taps = [[0.0; BLOCK]; SIDE];
                    for line in 0..SIDE {
                        let values = &kernel[line * SIDE + column][first..][..BLOCK];
                        for lane in 0..BLOCK {
                            taps[line][lane] = f64::from(values[lane]);
                        }
                    }
                    columns[column] = values_at(self.point, &taps);
                }
                for point in 0..POINTS {
                    let values = values_at(point, &columns);
                    let out = &mut planes[point][input][first..][..BLOCK];
                    for lane in 0..BLOCK {
                        out[lane] = values[lane] as f32;
                    }
                }
            }
        }
    }
}

/// The values at a point of polynomials with these coefficients.
#[inline(always)]
fn values_at(point: usize, coefficients: &[[f64; BLOCK]; SIDE]) -> [f64; BLOCK] {
    let factors = FACTORS[point];
    let mut values = [0.0; BLOCK];
    for lane in 0..BLOCK {
        values[lane] = factors[0] * coefficients[0][lane]
            + factors[1] * coefficients[1][lane]
            + factors[2] * coefficients[2][lane];
    }
    values
}

/// What the weights of a kernel's line are multiplied with for their value at each point.
const FACTORS: [[f64; SIDE]; POINTS] = {
    const fn at(point: f64, scale: f64) -> [f64; SIDE] {
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
    use crate::kernels::isa::Isa;

    #[test]
    fn every_kernel_is_transformed_alone_and_found_at_its_place() {
        let num_inputs = 5;
        let value = |index: usize| (index * 37 % 101) as f32 - 50.0;
        let kernels: Vec<[f32; OUTPUTS]> = (0..num_inputs * TAPS)
            .map(|line| std::array::from_fn(|output| value(line * OUTPUTS + output)))
            .collect();
        for isa in Isa::supported().into_iter().chain([Isa::Portable]) {
            for point in 0..POINTS {
                let mut planes = vec![[f32::NAN; OUTPUTS]; POINTS * num_inputs];
                isa.run(TransformWeights { point, kernels: &kernels, planes: &mut planes });
                for (index, plane) in planes.iter().enumerate() {
                    let (column, input) = (index / num_inputs, index % num_inputs);
                    for (output, &found) in plane.iter().enumerate() {
                        // In any order, exact but for the last bits.
                        let mut expected = 0.0;
                        for tap in 0..TAPS {
                            expected += FACTORS[point][tap / SIDE]
                                * FACTORS[column][tap % SIDE]
                                * f64::from(kernels[input * TAPS + tap][output]);
                        }
                        let difference = (f64::from(found) - expected).abs();
                        let tolerance = f64::from(f32::EPSILON) * expected.abs() + 1e-12;
                        assert!(difference <= tolerance, "{found}, not {expected}");
                    }
                }
            }
        }
    }
}
