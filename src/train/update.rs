//! Adam's arithmetic on each parameter.

use pulp::Simd;

use crate::kernels::isa::Kernel;

/// Share of the running mean that a step keeps; PyTorch's default.
const BETA_MEAN: f32 = 0.9;
/// The same for the running mean of squares.
const BETA_SQUARE: f32 = 0.999;
/// Keeps the quotient finite where no gradient has been; PyTorch's default.
const EPSILON: f32 = 1e-8;

/// What all parameters have in common in one step.
#[derive(Clone, Copy)]
pub(super) struct Step {
    /// The learning rate, corrected for running means that began at zero.
    rate: f32,
    /// One over the root of the same correction for the running means of squares: a division takes as long as
    /// all the rest.
    square_correction: f32,
}

impl Step {
    pub(super) fn new(rate: f64, num_steps: i32) -> Self {
        let mean_correction = 1.0 - f64::from(BETA_MEAN).powi(num_steps);
        let square_correction = 1.0 - f64::from(BETA_SQUARE).powi(num_steps);
        Step {
            rate: (rate / mean_correction) as f32,
            square_correction: (1.0 / square_correction.sqrt()) as f32,
        }
    }
}

/// Adam's update, one pass over all it reads and writes.
pub(super) struct Update<'a> {
    pub(super) values: &'a mut [f32],
    pub(super) means: &'a mut [f32],
    pub(super) squares: &'a mut [f32],
    pub(super) gradients: &'a [f32],
    pub(super) l2_penalty: f32,
    pub(super) step: Step,
}

impl Kernel for Update<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (values, values_rest) = S::as_mut_simd_f32s(self.values);
        let (means, means_rest) = S::as_mut_simd_f32s(self.means);
        let (squares, squares_rest) = S::as_mut_simd_f32s(self.squares);
        let (gradients, gradients_rest) = S::as_simd_f32s(self.gradients);
        let parameters = values.iter_mut().zip(means).zip(squares).zip(gradients);
        for (((value, mean), square), gradient) in parameters {
            update(simd, value, mean, square, *gradient, self.l2_penalty, self.step);
        }
        // What does not fill a vector.
        let one = pulp::Scalar;
        let parameters =
            values_rest.iter_mut().zip(means_rest).zip(squares_rest).zip(gradients_rest);
        for (((value, mean), square), gradient) in parameters {
            update(one, value, mean, square, *gradient, self.l2_penalty, self.step);
        }
    }
}

#[inline(always)]
fn update<S: Simd>(
    simd: S,
    value: &mut S::f32s,
    mean: &mut S::f32s,
    square: &mut S::f32s,
    gradient: S::f32s,
    l2_penalty: f32,
    step: Step,
) {
    let splat = |x: f32| simd.splat_f32s(x);
    let gradient = simd.mul_add_f32s(splat(l2_penalty), *value, gradient);
    let toward = simd.sub_f32s(gradient, *mean);
    *mean = simd.mul_add_f32s(splat(1.0 - BETA_MEAN), toward, *mean);
    let toward = simd.sub_f32s(simd.mul_f32s(gradient, gradient), *square);
    *square = simd.mul_add_f32s(splat(1.0 - BETA_SQUARE), toward, *square);
    let deviation = simd.mul_f32s(simd.sqrt_f32s(*square), splat(step.square_correction));
    let direction = simd.div_f32s(*mean, simd.add_f32s(deviation, splat(EPSILON)));
    *value = simd.mul_add_f32s(splat(-step.rate), direction, *value);
}
