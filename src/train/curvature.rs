//! What L-BFGS knows of the objective's curvature, and the directions that follow from it.

use std::collections::VecDeque;
use std::mem::swap;

use super::vector::Vector;

/// Steps whose curvature is remembered: 2.6 MB each for 133 classes.
const MEMORY: usize = 6;
/// The bias is taken as the weight of a constant feature whose square is this. With 1, as that of a scaled
/// feature, it hardly moves where the penalty is more than its curvature, and the descent seems to end 2 %
/// above the optimum: measured on the sample's features, where 10 and 1000 were both slower.
const BIAS_FEATURE: f64 = 100.0;

/// Vectors whose inner products are kept: each step, each change of the gradient, and the gradient.
const NUM_VECTORS: usize = 2 * MEMORY + 1;
/// The gradient's place among them.
const GRADIENT: usize = 2 * MEMORY;

/// The latest steps, and how the gradient changed along them.
pub(super) struct Curvature {
    /// Some of them are in use.
    secants: Vec<Secant>,
    /// The numbers of these, the latest last.
    order: VecDeque<usize>,
    /// Inner products of weights and of bias, by the places of [`Secant`]'s vectors and of the gradient. From
    /// them the direction follows (Chen, Wang and Zhou 2014) without a vector being gone through.
    products: [[[f64; 2]; NUM_VECTORS]; NUM_VECTORS],
}

/// A step, and how the gradient changed along it. The places of both in products are twice the secant's
/// number, and one more.
struct Secant {
    step: Vector,
    change: Vector,
}

impl Curvature {
    /// Nothing is known yet.
    pub(super) fn new() -> Self {
        Curvature {
            secants: Vec::with_capacity(MEMORY),
            order: VecDeque::with_capacity(MEMORY),
            products: [[[0.0; 2]; NUM_VECTORS]; NUM_VECTORS],
        }
    }

    /// Brings what is remembered to a penalty that is greater by `difference`: the gradient differs by that
    /// multiple of the weights.
    pub(super) fn change_penalty(&mut self, difference: f64) {
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
    }

    /// Takes the gradient at another point.
    pub(super) fn set_gradient(&mut self, gradient: &Vector) {
        let products = Vector::products([gradient], &self.vectors(gradient));
        self.keep([GRADIENT], &products);
    }

    /// Remembers a step and the change of the gradient, which is `gradient` after it, in place of the first one.
    /// Leaves other vectors in `step` and `change`.
    pub(super) fn remember(&mut self, step: &mut Vector, change: &mut Vector, gradient: &Vector) {
        let number = if self.order.len() == MEMORY {
            self.order.pop_front().unwrap_or_default()
        } else {
            let is_free = |number: &usize| !self.order.contains(number);
            (0..MEMORY).find(is_free).unwrap_or_default()
        };
        if number == self.secants.len() {
            self.secants.push(Secant { step: step.clone(), change: change.clone() });
        }
        swap(&mut self.secants[number].step, step);
        swap(&mut self.secants[number].change, change);
        self.order.push_back(number);
        let Secant { step, change } = &self.secants[number];
        let products = Vector::products([step, change, gradient], &self.vectors(gradient));
        self.keep([2 * number, 2 * number + 1, GRADIENT], &products);
        if sum(self.products[2 * number][2 * number + 1]) <= 0.0 {
            self.order.pop_back();
        }
    }

    /// All vectors in the order of their places.
    fn vectors<'a>(&'a self, gradient: &'a Vector) -> Vec<&'a Vector> {
        let secants = self.secants.iter().flat_map(|Secant { step, change }| [step, change]);
        secants.chain([gradient]).collect()
    }

    /// Keeps the products of the vectors at `places` with all of [`Curvature::vectors`].
    fn keep<const LEN: usize>(&mut self, places: [usize; LEN], products: &[[[f64; 2]; LEN]]) {
        let others = (0..2 * self.secants.len()).chain([GRADIENT]);
        for (other, products) in others.zip(products) {
            for (&place, &product) in places.iter().zip(products) {
                self.products[place][other] = product;
                self.products[other][place] = product;
            }
        }
    }

    /// Makes `direction` one downhill and `next` the point at its end, from `at`, whose gradient is the latest
    /// that was shown. Returns the slope along it.
    pub(super) fn set_direction(
        &self,
        at: &Vector,
        gradient: &Vector,
        direction: &mut Vector,
        next: &mut Vector,
    ) -> f64 {
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
        terms.push((GRADIENT, gradient));
        let terms = terms.into_iter().map(|(place, vector)| {
            let of_weights = -after[place] - scale * before[place];
            let of_bias = -after[place] - scale * BIAS_FEATURE * before[place];
            ([of_weights, of_bias], vector)
        });
        direction.set_to_step(&terms.collect::<Vec<_>>(), at, next);
        slope
    }
}

/// Of weights and bias.
fn sum([weights, bias]: [f64; 2]) -> f64 {
    weights + bias
}
