//! Stochastic gradient descent with momentum.

use tch::Tensor;

use crate::error::Result;

/// What a step needs of one parameter.
#[derive(Debug)]
pub struct Parameter {
    /// A leaf that requires its gradient.
    pub value: Tensor,
    /// The learning rate at the peak of the schedule.
    pub rate: f64,
    /// L2 penalty, part of the gradient.
    pub weight_decay: f64,
    /// The running sum of gradients, of the value's shape.
    pub velocity: Tensor,
}

/// PyTorch's `SGD(momentum=momentum)`, on one thread or several.
#[derive(Debug)]
pub struct Sgd {
    /// In the order of the network's parameters.
    pub parameters: Vec<Parameter>,
    /// Share of the velocity that a step keeps.
    pub momentum: f64,
}

impl Sgd {
    /// One step down the gradient of `loss`, with every rate times `schedule`.
    ///
    /// # Errors
    /// When libtorch fails, as it does without memory.
    pub fn step(&mut self, loss: &Tensor, schedule: f64) -> Result<()> {
        let values: Vec<&Tensor> =
            self.parameters.iter().map(|parameter| &parameter.value).collect();
        let gradients = Tensor::f_run_backward(&[loss], &values, false, false)?;
        tch::no_grad(|| {
            for (parameter, gradient) in self.parameters.iter_mut().zip(gradients) {
                let Parameter { value, rate, weight_decay, velocity } = parameter;
                let _ = velocity.f_mul_scalar_(self.momentum)?;
                let _ = velocity.f_add_(&gradient)?;
                // One pass over the memory each: factors are tensors of one element.
                if *weight_decay > 0.0 {
                    let _ = velocity.f_addcmul_(value, &scalar(*weight_decay)?)?;
                }
                let _ = value.f_addcmul_(velocity, &scalar(-*rate * schedule)?)?;
            }
            Ok(())
        })
    }
}

fn scalar(value: f64) -> Result<Tensor> {
    Ok(Tensor::f_from_slice(&[value as f32])?.f_view(&[] as &[i64])?)
}
