//! L-BFGS (Liu and Nocedal 1989), for the optimum that mini-batches only come near to.

use std::collections::VecDeque;

use super::objective::Objective;
use super::vector::Vector;
use crate::error::Result;
use crate::run::signals;

/// Steps whose curvature is remembered: 2.6 MB each for 133 classes.
const MEMORY: usize = 6;
/// The bias is taken as the weight of a constant feature whose square is this. With 1, as that of a scaled
/// feature, it hardly moves where the penalty is more than its curvature, and the descent seems to end 2 %
/// above the optimum: measured on the sample's features, where 10 and 1000 were both slower.
const BIAS_FEATURE: f64 = 100.0;
/// Steps at most for one penalty.
const MAX_STEPS: usize = 40;
/// A step is taken when the objective falls by this part of what its slope promises (Armijo).
const SUFFICIENT: f64 = 1e-4;
/// Halvings, or more, of a step that is too long. At the end rounding alone may refuse all.
const MAX_TRIES: usize = 12;

/// Where the descent is.
pub(super) struct Lbfgs<'a> {
    objective: Objective<'a>,
    l2_penalty: f64,
    pub(super) at: Vector,
    gradient: Vector,
    value: f64,
    /// The latest last.
    memory: VecDeque<Secant>,
    /// Passes over the train split so far.
    pub(super) num_passes: usize,
}

/// A step, how the gradient changed along it, and their product.
struct Secant {
    step: Vector,
    change: Vector,
    curvature: f64,
}

impl<'a> Lbfgs<'a> {
    /// At `at`, not yet under way.
    pub(super) fn new(objective: Objective<'a>, l2_penalty: f64, at: Vector) -> Self {
        let gradient = at.clone();
        let memory = VecDeque::with_capacity(MEMORY);
        Lbfgs { objective, l2_penalty, at, gradient, value: f64::INFINITY, memory, num_passes: 0 }
    }

    /// Goes to another penalty. What is remembered is brought to the
    /// new objective, whose gradient differs from the old one by a multiple of the weights.
    pub(super) fn change_penalty(&mut self, l2_penalty: f64) {
        for Secant { step, change, curvature } in &mut self.memory {
            change.add_weights(l2_penalty - self.l2_penalty, step);
            *curvature = step.dot(change);
        }
        self.memory.retain(|secant| secant.curvature > 0.0);
        self.l2_penalty = l2_penalty;
        self.value = self.objective.evaluate(&self.at, l2_penalty, &mut self.gradient);
        self.num_passes += 1;
    }

    /// Descends until a step lowers the objective by less than the part `tolerance` of it. `on_step` is
    /// shown where each step led.
    ///
    /// # Errors
    /// [`Error::Stopped`](crate::error::Error::Stopped)
    pub(super) fn minimize(
        &mut self,
        tolerance: f64,
        mut on_step: impl FnMut(&Vector),
    ) -> Result<()> {
        for _ in 0..MAX_STEPS {
            let before = self.value;
            if !self.step()? {
                break;
            }
            on_step(&self.at);
            if before - self.value < tolerance * self.value {
                break;
            }
        }
        Ok(())
    }

    /// `false` when no step along the direction lowers the objective.
    fn step(&mut self) -> Result<bool> {
        let direction = self.direction();
        let slope = self.gradient.dot(&direction);
        let mut length = 1.0;
        for _ in 0..MAX_TRIES {
            signals::check()?;
            let mut to = self.at.clone();
            to.add(length, &direction);
            let mut gradient = self.gradient.clone();
            let value = self.objective.evaluate(&to, self.l2_penalty, &mut gradient);
            self.num_passes += 1;
            if value <= self.value + SUFFICIENT * length * slope {
                let mut change = gradient.clone();
                change.add(-1.0, &self.gradient);
                let mut step = direction;
                step.scale(length, length);
                (self.at, self.gradient, self.value) = (to, gradient, value);
                let curvature = step.dot(&change);
                if curvature > 0.0 {
                    if self.memory.len() == MEMORY {
                        self.memory.pop_front();
                    }
                    self.memory.push_back(Secant { step, change, curvature });
                }
                return Ok(true);
            }
            // The lowest point of the parabola through both values and the slope.
            let lowest = -slope * length * length / (2.0 * (value - self.value - slope * length));
            length = if lowest.is_finite() {
                lowest.clamp(0.1 * length, 0.5 * length)
            } else {
                0.1 * length
            };
        }
        Ok(false)
    }

    /// Downhill, by what is remembered of the curvature.
    fn direction(&self) -> Vector {
        let mut direction = self.gradient.clone();
        let mut factors = Vec::with_capacity(self.memory.len());
        for Secant { step, change, curvature } in self.memory.iter().rev() {
            let factor = step.dot(&direction) / curvature;
            direction.add(-factor, change);
            factors.push(factor);
        }
        let latest = self.memory.back();
        let scale = latest.map_or(1.0, |Secant { change, curvature, .. }| {
            let bias = BIAS_FEATURE * change.dot_of_bias(change);
            curvature / (change.dot_of_weights(change) + bias)
        });
        direction.scale(-scale, -scale * BIAS_FEATURE);
        for (Secant { step, change, curvature }, factor) in
            self.memory.iter().zip(factors.iter().rev())
        {
            direction.add(-factor - change.dot(&direction) / curvature, step);
        }
        direction
    }
}
