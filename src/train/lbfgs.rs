//! L-BFGS (Liu and Nocedal 1989), for the optimum that mini-batches only come near to.

use std::collections::VecDeque;
use std::mem::swap;

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

/// Vectors whose inner products are kept: each step, each change of the gradient, and the gradient.
const NUM_VECTORS: usize = 2 * MEMORY + 1;
/// The gradient's place among them.
const GRADIENT: usize = 2 * MEMORY;

/// Where the descent is.
pub(super) struct Lbfgs<'a> {
    objective: Objective<'a>,
    l2_penalty: f64,
    at: Vector,
    gradient: Vector,
    /// The objective; infinite where it is not yet known, nor the gradient.
    value: f64,
    /// Some of them are in use.
    secants: Vec<Secant>,
    /// The numbers of these, the latest last.
    order: VecDeque<usize>,
    /// Inner products of weights and of bias, by the places of [`Secant`]'s vectors and of the gradient. From
    /// them the direction follows (Chen, Wang and Zhou 2014) without a vector being gone through.
    products: [[[f64; 2]; NUM_VECTORS]; NUM_VECTORS],
    /// Buffers for the next step.
    direction: Vector,
    next: Vector,
    next_gradient: Vector,
    /// Passes over the train split so far.
    pub(super) num_passes: usize,
}

/// A step, and how the gradient changed along it. The places of both in products are twice the secant's
/// number, and one more.
struct Secant {
    step: Vector,
    change: Vector,
}

impl<'a> Lbfgs<'a> {
    /// At `at`, not yet under way.
    pub(super) fn new(objective: Objective<'a>, l2_penalty: f64, at: Vector) -> Self {
        Lbfgs {
            objective,
            l2_penalty,
            gradient: at.clone(),
            value: f64::INFINITY,
            secants: Vec::with_capacity(MEMORY),
            order: VecDeque::with_capacity(MEMORY),
            products: [[[0.0; 2]; NUM_VECTORS]; NUM_VECTORS],
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

    /// Goes to another penalty. What is remembered is brought to the
    /// new objective, whose gradient differs from the old one by a multiple of the weights.
    pub(super) fn change_penalty(&mut self, l2_penalty: f64) {
        let difference = l2_penalty - self.l2_penalty;
        self.l2_penalty = l2_penalty;
        for &number in &self.order {
            let Secant { step, change } = &mut self.secants[number];
            change.add_weights(difference, step);
        }
        for number in self.order.clone() {
            let (step, change) = (2 * number, 2 * number + 1);
            for other in 0..NUM_VECTORS {
                self.products[change][other][0] += difference * self.products[step][other][0];
            }
            for other in 0..NUM_VECTORS {
                self.products[other][change][0] += difference * self.products[other][step][0];
            }
        }
        let products = &self.products;
        self.order.retain(|&number| sum(products[2 * number][2 * number + 1]) > 0.0);
        if self.value.is_finite() {
            self.gradient.add_weights(difference, &self.at);
            let squares = Vector::products([&self.at], &[&self.at]);
            self.value +=
                squares.iter().map(|[[square, _]]| 0.5 * difference * square).sum::<f64>();
        } else {
            self.value = self.objective.evaluate(&self.at, l2_penalty, &mut self.gradient);
            self.num_passes += 1;
        }
        let gradient = Vector::products([&self.gradient], &self.vectors());
        self.keep([GRADIENT], &gradient);
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
        let slope = self.set_direction();
        let mut length = 1.0;
        for _ in 0..MAX_TRIES {
            signals::check()?;
            self.next.set_to(&[([1.0; 2], &self.at), ([length; 2], &self.direction)]);
            let value =
                self.objective.evaluate(&self.next, self.l2_penalty, &mut self.next_gradient);
            self.num_passes += 1;
            if value <= self.value + SUFFICIENT * length * slope {
                swap(&mut self.at, &mut self.next);
                swap(&mut self.gradient, &mut self.next_gradient);
                self.value = value;
                self.remember(length);
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

    /// Remembers the step along the direction that has been taken, in place of the first one.
    fn remember(&mut self, length: f64) {
        // From the gradient before, which is needed no longer.
        self.next_gradient.subtract_from(&self.gradient);
        self.direction.scale(length);
        let number = if self.order.len() == MEMORY {
            self.order.pop_front().unwrap_or_default()
        } else {
            let is_free = |number: &usize| !self.order.contains(number);
            (0..MEMORY).find(is_free).unwrap_or_default()
        };
        if number == self.secants.len() {
            let (step, change) = (self.direction.clone(), self.direction.clone());
            self.secants.push(Secant { step, change });
        }
        let Secant { step, change } = &mut self.secants[number];
        swap(step, &mut self.direction);
        swap(change, &mut self.next_gradient);
        self.order.push_back(number);
        let Secant { step, change } = &self.secants[number];
        let products = Vector::products([step, change, &self.gradient], &self.vectors());
        self.keep([2 * number, 2 * number + 1, GRADIENT], &products);
        if sum(self.products[2 * number][2 * number + 1]) <= 0.0 {
            self.order.pop_back();
        }
    }

    /// All vectors in the order of their places.
    fn vectors(&self) -> Vec<&Vector> {
        let secants = self.secants.iter().flat_map(|Secant { step, change }| [step, change]);
        secants.chain([&self.gradient]).collect()
    }

    /// Keeps the products of the vectors at `places` with all of [`Lbfgs::vectors`].
    fn keep<const LEN: usize>(&mut self, places: [usize; LEN], products: &[[[f64; 2]; LEN]]) {
        let others = (0..2 * self.secants.len()).chain([GRADIENT]);
        for (other, products) in others.zip(products) {
            for (&place, &product) in places.iter().zip(products) {
                self.products[place][other] = product;
                self.products[other][place] = product;
            }
        }
    }

    /// Makes the direction one downhill, by what is remembered of the curvature, and returns the slope along it.
    fn set_direction(&mut self) -> f64 {
        let products = &self.products;
        let curvature = |number: usize| sum(products[2 * number][2 * number + 1]);
        // Factors of the vectors, before and after what is known is multiplied with the first guess.
        let (mut before, mut after) = ([0.0; NUM_VECTORS], [0.0; NUM_VECTORS]);
        before[GRADIENT] = 1.0;
        let mut factors = [0.0; MEMORY];
        for &number in self.order.iter().rev() {
            let row = &products[2 * number];
            let product: f64 = row.iter().zip(&before).map(|(&it, by)| by * sum(it)).sum();
            factors[number] = product / curvature(number);
            before[2 * number + 1] -= factors[number];
        }
        let guess = |[weights, bias]: [f64; 2]| weights + BIAS_FEATURE * bias;
        let scale = self.order.back().map_or(1.0, |&latest| {
            curvature(latest) / guess(products[2 * latest + 1][2 * latest + 1])
        });
        let guessed = |row: &[[f64; 2]; NUM_VECTORS], before: &[f64; NUM_VECTORS]| {
            scale * row.iter().zip(before).map(|(&it, by)| by * guess(it)).sum::<f64>()
        };
        for &number in &self.order {
            let row = &products[2 * number + 1];
            let known: f64 = row.iter().zip(&after).map(|(&it, by)| by * sum(it)).sum();
            let product = guessed(row, &before) + known;
            after[2 * number] += factors[number] - product / curvature(number);
        }
        let row = &products[GRADIENT];
        let known: f64 = row.iter().zip(&after).map(|(&it, by)| by * sum(it)).sum();
        let slope = -guessed(row, &before) - known;
        let mut terms = Vec::with_capacity(NUM_VECTORS);
        for &number in &self.order {
            let Secant { step, change } = &self.secants[number];
            for (place, vector) in [(2 * number, step), (2 * number + 1, change)] {
                terms.push((place, vector));
            }
        }
        terms.push((GRADIENT, &self.gradient));
        let terms = terms.into_iter().map(|(place, vector)| {
            let of_weights = -after[place] - scale * before[place];
            let of_bias = -after[place] - scale * BIAS_FEATURE * before[place];
            ([of_weights, of_bias], vector)
        });
        self.direction.set_to(&terms.collect::<Vec<_>>());
        slope
    }
}

/// Of weights and bias.
fn sum([weights, bias]: [f64; 2]) -> f64 {
    weights + bias
}
