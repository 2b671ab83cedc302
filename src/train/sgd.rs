//! Stochastic gradient descent with momentum.

mod step;

use tch::Tensor;

use crate::error::Result;
use step::{Factors, step};

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
        for (parameter, gradient) in self.parameters.iter_mut().zip(gradients) {
            let Parameter { value, rate, weight_decay, velocity } = parameter;
            let factors = Factors {
                momentum: self.momentum as f32,
                weight_decay: *weight_decay as f32,
                rate: (*rate * schedule) as f32,
            };
            step(value, velocity, &gradient, factors)?;
        }
        Ok(())
    }
}
