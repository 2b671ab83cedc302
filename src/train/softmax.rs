//! The cross-entropy of a softmax, with its gradient.

use pulp::Simd;

use crate::kernels::isa::{Isa, Kernel};

/// Replaces the logits `[C]` of an image by the gradient of the mean cross-entropy over `num_samples`
/// images, `(softmax - one-hot) / num_samples`, and returns the image's cross-entropy in nats.
pub(super) fn subtract_target(
    isa: Isa,
    logits: &mut [f32],
    target: usize,
    num_samples: usize,
) -> f64 {
    let of_target = logits[target];
    let (mut max, mut sum) = (0.0, 0.0);
    let (to_max, to_sum) = (&mut max, &mut sum);
    isa.run(Softmax { logits, scale: 1.0 / num_samples as f32, max: to_max, sum: to_sum });
    logits[target] -= 1.0 / num_samples as f32;
    f64::from(sum).ln() - f64::from(of_target - max)
}

/// Replaces logits by the softmax times `scale`.
struct Softmax<'a> {
    logits: &'a mut [f32],
    scale: f32,
    max: &'a mut f32,
    /// Of `exp(logit - max)`.
    sum: &'a mut f32,
}

/// Values in a vector at most.
const MAX_LANES: usize = 16;

impl Kernel for Softmax<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (whole, rest) = S::as_mut_simd_f32s(self.logits);
        // What does not fill a vector, filled up with what adds nothing.
        let mut last = [f32::NEG_INFINITY; MAX_LANES];
        last[..rest.len()].copy_from_slice(rest);
        let filled = S::as_mut_simd_f32s(&mut last[..S::F32_LANES]).0;
        let mut max = filled[0];
        for &logit in &*whole {
            max = simd.max_f32s(max, logit);
        }
        *self.max = simd.reduce_max_f32s(max);
        let max = simd.splat_f32s(*self.max);
        let mut sum = simd.splat_f32s(0.0);
        for logit in whole.iter_mut().chain(&mut *filled) {
            *logit = exp(simd, simd.sub_f32s(*logit, max));
            sum = simd.add_f32s(sum, *logit);
        }
        *self.sum = simd.reduce_sum_f32s(sum);
        let scale = simd.splat_f32s(self.scale / *self.sum);
        for value in whole.iter_mut().chain(&mut *filled) {
            *value = simd.mul_f32s(*value, scale);
        }
        rest.copy_from_slice(&last[..rest.len()]);
    }
}

/// Below this, `exp` is the smallest normal number.
const LEAST: f32 = -87.0;
/// `1.5 * 2^23 + 127`: a small number added to it is rounded to a whole one, in the last bits, with the bias of
/// an exponent.
const ROUND: f32 = 12_582_912.0 + 127.0;
/// `ln 2` in few bits, and the rest of it.
const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];
/// One over the factorials of 7 to 0.
const TAYLOR: [f32; 8] =
    [1.0 / 5040.0, 1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0];

/// `exp(x)` to the last bits, where `x` is 0 at most.
#[inline(always)]
fn exp<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let splat = |value: f32| simd.splat_f32s(value);
    // In this order what is no number stays so.
    let x = simd.max_f32s(splat(LEAST), x);
    let rounded = simd.mul_add_f32s(x, splat(std::f32::consts::LOG2_E), splat(ROUND));
    let bits = simd.transmute_u32s_f32s(rounded);
    let power = simd.transmute_f32s_u32s(simd.wrapping_dyn_shl_u32s(bits, simd.splat_u32s(23)));
    let exponent = simd.sub_f32s(rounded, splat(ROUND));
    let mut rest = x;
    for part in LN_2 {
        rest = simd.mul_add_f32s(exponent, splat(-part), rest);
    }
    let mut series = splat(TAYLOR[0]);
    for term in &TAYLOR[1..] {
        series = simd.mul_add_f32s(series, rest, splat(*term));
    }
    simd.mul_f32s(series, power)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gradient_is_that_of_f64_for_any_number_of_classes() {
        for isa in Isa::supported().into_iter().chain([Isa::Portable]) {
            for num_classes in 1..70usize {
                let logits: Vec<f32> =
                    (0..num_classes).map(|i| (i * 37 % 101) as f32 * 0.3 - 9.0).collect();
                let target = num_classes / 2;
                let exps: Vec<f64> = logits.iter().map(|&logit| f64::from(logit).exp()).collect();
                let sum: f64 = exps.iter().sum();
                let mut found = logits.clone();
                let loss = subtract_target(isa, &mut found, target, 10);
                assert!((loss - (sum / exps[target]).ln()).abs() < 1e-5, "{loss}");
                for (class, (&found, exp)) in found.iter().zip(&exps).enumerate() {
                    let expected = (exp / sum - f64::from(class == target)) / 10.0;
                    assert!((f64::from(found) - expected).abs() < 1e-7, "{found} {expected}");
                }
            }
        }
    }

    #[test]
    fn logits_far_apart_leave_finite_numbers_and_nan_stays() {
        for isa in Isa::supported().into_iter().chain([Isa::Portable]) {
            let mut logits = vec![-1e30, 1e30, 0.0];
            assert_eq!(subtract_target(isa, &mut logits, 1, 1), 0.0);
            assert!(logits.iter().all(|value| value.abs() < 1e-37), "{logits:?}");
            assert!(subtract_target(isa, &mut [0.0, f32::NAN], 1, 1).is_nan());
        }
    }
}
