//! L-BFGS (Liu and Nocedal 1989), for the optimum that mini-batches only come near to.

use std::mem::swap;

use super::curvature::Curvature;
use super::objective::Objective;
use super::vector::Vector;
use crate::error::Result;
use crate::run::signals;

/// A step is taken when the objective falls by this part of what its slope promises (Armijo).
const SUFFICIENT: f64 = 1e-4;
/// Halvings, or more, of a step that is too long. At the end rounding alone may refuse all.
const MAX_TRIES: usize = 12;

/// When a descent ends.
#[derive(Debug, Clone, Copy)]
pub(super) struct StoppingCriterion {
    /// After a step that lowers the objective by less than this part of it.
    pub(super) tolerance: f64,
    /// After so many steps.
    pub(super) max_steps: usize,
}

/// Where the descent is.
pub(super) struct Lbfgs<'a> {
    objective: Objective<'a>,
    l2_penalty: f64,
    at: Vector,
    gradient: Vector,
    /// The objective; infinite where it is not yet known, nor the gradient.
    value: f64,
    curvature: Curvature,
    /// Buffers for the next step.
    direction: Vector,
    next: Vector,
    next_gradient: Vector,
    /// Passes over the train split so far.
    pub(super) num_passes: usize,
}

impl<'a> Lbfgs<'a> {
    /// At `at`, not yet under way.
    pub(super) fn new(objective: Objective<'a>, l2_penalty: f64, at: Vector) -> Self {
        Lbfgs {
            objective,
            l2_penalty,
            gradient: at.clone(),
            value: f64::INFINITY,
            curvature: Curvature::new(),
            direction: at.clone(),
            next: at.clone(),
            next_gradient: at.clone(),
            at,
            num_passes: 0,
        }
    }

    /// Where it has come to.
    pub(super) fn at(&self) -> &Vector {
        &self.at
    }

    /// Leaves for another point; what is known of the curvature stays.
    pub(super) fn go_to(&mut self, at: Vector) {
        self.at = at;
        self.value = f64::INFINITY;
    }

    /// Goes to another penalty, with what is known of the curvature.
    ///
    /// # Errors
    /// Those of the objective.
    pub(super) fn change_penalty(&mut self, l2_penalty: f64) -> Result<()> {
        let difference = l2_penalty - self.l2_penalty;
        self.l2_penalty = l2_penalty;
        self.curvature.change_penalty(difference);
        if self.value.is_finite() {
            self.gradient.add_weights(difference, &self.at);
            let squares = self.at.products(&[&self.at]);
            self.value += squares.iter().map(|[square, _]| 0.5 * difference * square).sum::<f64>();
        } else {
            self.value = self.objective.evaluate(&self.at, l2_penalty, &mut self.gradient)?;
            self.num_passes += 1;
        }
        self.curvature.set_gradient(&self.gradient);
        Ok(())
    }

    /// Descends. `on_step` is shown where each step led, while the step is remembered, and says whether to go on.
    ///
    /// # Errors
    /// [`Error::Stopped`](crate::error::Error::Stopped); those of the objective and of `on_step`.
    pub(super) fn minimize(
        &mut self,
        criterion: StoppingCriterion,
        mut on_step: impl FnMut(&Vector) -> Result<bool> + Send,
    ) -> Result<()> {
        for _ in 0..criterion.max_steps {
            let before = self.value;
            let Some(length) = self.step()? else { break };
            let Lbfgs { at, gradient, direction, next_gradient, curvature, .. } = self;
            let remember = || {
                direction.scale(length);
                // The next gradient's place has the one before, which is needed no longer.
                curvature.remember(direction, next_gradient, gradient);
            };
            let (goes_on, ()) = rayon::join(|| on_step(at), remember);
            if !goes_on? || before - self.value < criterion.tolerance * self.value {
                break;
            }
        }
        Ok(())
    }

    /// The length of a step along the direction, which is taken; `None` when none lowers the objective.
    fn step(&mut self) -> Result<Option<f64>> {
        let slope = self.curvature.set_direction(
            &self.at,
            &self.gradient,
            &mut self.direction,
            &mut self.next,
        );
        let mut length = 1.0;
        for _ in 0..MAX_TRIES {
            signals::check()?;
            let value =
                self.objective.evaluate(&self.next, self.l2_penalty, &mut self.next_gradient)?;
            self.num_passes += 1;
            if value <= self.value + SUFFICIENT * length * slope {
                swap(&mut self.at, &mut self.next);
                swap(&mut self.gradient, &mut self.next_gradient);
                self.value = value;
                return Ok(Some(length));
            }
            // The lowest point of the parabola through both values and the slope.
            let lowest = -slope * length * length / (2.0 * (value - self.value - slope * length));
            length = if lowest.is_finite() {
                lowest.clamp(0.1 * length, 0.5 * length)
            } else {
                0.1 * length
            };
            self.next.set_to(&[([1.0; 2], &self.at), ([length; 2], &self.direction)]);
        }
        Ok(None)
    }
}
