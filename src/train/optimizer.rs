//! A step of the optimizer on a mini-batch.

use tch::{Kind, Tensor};

use crate::error::Result;
use crate::model::head::{Head, to_vec};

/// Adam (Kingma and Ba 2015) on the mean cross-entropy plus the L2 penalty.
///
/// The penalty is part of the loss, not decoupled as in AdamW, so that the optimum is that of
/// penalized logistic regression. Plain momentum does not reach it in the same number of epochs: a
/// few directions of the features have most of the variance.
pub(super) struct Adam {
    /// `[C, F]` and `[C]`, as of the last step.
    pub(super) head: Head,
    /// Running mean of the gradient.
    mean: Head,
    /// Running mean of its square.
    square: Head,
    l2_penalty: f64,
    num_steps: i32,
}

/// Share of the running mean that a step keeps; PyTorch's default.
const BETA_MEAN: f64 = 0.9;
/// The same for the running mean of squares.
const BETA_SQUARE: f64 = 0.999;
/// Keeps the quotient finite where no gradient has been; PyTorch's default.
const EPSILON: f64 = 1e-8;

impl Adam {
    pub(super) fn new(num_classes: usize, num_features: usize, l2_penalty: f64) -> Result<Self> {
        Ok(Adam {
            head: Head::zeros(num_classes, num_features)?,
            mean: Head::zeros(num_classes, num_features)?,
            square: Head::zeros(num_classes, num_features)?,
            l2_penalty,
            num_steps: 0,
        })
    }

    /// One step on features `[B, F]`; returns the logits `[B, C]` from before it.
    pub(super) fn step(&mut self, x: &Tensor, targets: &[usize], rate: f64) -> Result<Vec<f32>> {
        let logits = self.head.forward(x)?; // [B, C]
        let gradient = loss_gradient(&logits, targets)?; // [B, C]
        let penalty = self.head.weight.f_mul_scalar(self.l2_penalty)?;
        let weight_gradient = penalty.f_addmm(&gradient.f_tr()?, x)?; // [C, F]
        let bias_gradient = gradient.f_sum_dim_intlist([0i64].as_slice(), false, Kind::Float)?;

        self.num_steps += 1;
        let mean_correction = 1.0 - BETA_MEAN.powi(self.num_steps);
        let square_correction = 1.0 - BETA_SQUARE.powi(self.num_steps);
        for (parameter, mean, square, gradient) in [
            (
                &mut self.head.weight,
                &mut self.mean.weight,
                &mut self.square.weight,
                weight_gradient,
            ),
            (&mut self.head.bias, &mut self.mean.bias, &mut self.square.bias, bias_gradient),
        ] {
            let _ = mean.f_lerp_(&gradient, 1.0 - BETA_MEAN)?;
            let _ = square.f_lerp_(&gradient.f_square()?, 1.0 - BETA_SQUARE)?;
            let deviation = square
                .f_div_scalar(square_correction)?
                .f_sqrt_()?
                .f_add_scalar_(EPSILON)?
                .f_mul_scalar_(-mean_correction / rate)?;
            let _ = parameter.f_add_(&mean.f_div(&deviation)?)?;
        }
        to_vec(&logits)
    }
}

/// The gradient of the mean cross-entropy by the logits `[B, C]`: `(softmax - one-hot) / B`.
fn loss_gradient(logits: &Tensor, targets: &[usize]) -> Result<Tensor> {
    let batch_size = targets.len() as i64;
    let indices: Vec<i64> = targets.iter().map(|&target| target as i64).collect();
    let indices = Tensor::f_from_slice(&indices)?.f_unsqueeze(1)?; // [B, 1]
    let minus_one = Tensor::f_full([batch_size, 1], -1.0, (Kind::Float, tch::Device::Cpu))?;
    let gradient = logits.f_softmax(-1, Kind::Float)?.f_scatter_add(1, &indices, &minus_one)?;
    Ok(gradient.f_div_scalar(batch_size as f64)?)
}
