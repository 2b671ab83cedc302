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
        let secants = self.secants.iter().flat_map(|Secant { step, change }| [step, change]);
        let products = gradient.products(&secants.chain([gradient]).collect::<Vec<_>>());
        for (other, product) in (0..2 * self.secants.len()).chain([GRADIENT]).zip(products) {
            self.keep(GRADIENT, other, product);
        }
    }

    /// Remembers a step from a point with the gradient `before` to one with `gradient`, in place of the first one.
    /// Leaves other vectors in `step` and `before`.
    pub(super) fn remember(&mut self, step: &mut Vector, before: &mut Vector, gradient: &Vector) {
        let number = if self.order.len() == MEMORY {
            self.order.pop_front().unwrap_or_default()
        } else {
            let is_free = |number: &usize| !self.order.contains(number);
            (0..MEMORY).find(is_free).unwrap_or_default()
        };
        if number == self.secants.len() {
            self.secants.push(Secant { step: step.clone(), change: before.clone() });
        }
        swap(&mut self.secants[number].step, step);
        swap(&mut self.secants[number].change, before);
        self.order.push_back(number);
        let (earlier, rest) = self.secants.split_at_mut(number);
        let Some((Secant { step, change }, later)) = rest.split_first_mut() else { return };
        let secants = earlier.iter().chain(&*later);
        let others = secants.flat_map(|Secant { step, change }| [step, change]);
        let others: Vec<_> = others.chain([gradient, &*step]).collect();
        let products = change.set_to_change(step, gradient, &others);
        let own = [2 * number, 2 * number + 1];
        let places = (0..2 * self.secants.len()).filter(|place| !own.contains(place));
        for (other, products) in places.chain([GRADIENT]).chain(own).zip(products) {
            for (place, product) in own.into_iter().chain([GRADIENT]).zip(products) {
                self.keep(place, other, product);
            }
        }
        if sum(self.products[2 * number][2 * number + 1]) <= 0.0 {
            self.order.pop_back();
        }
    }

    /// Keeps the products of the vectors at two places.
    fn keep(&mut self, place: usize, other: usize, product: [f64; 2]) {
        self.products[place][other] = product;
        self.products[other][place] = product;
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

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::model::head::Head;

    #[test]
    fn the_products_that_are_kept_are_those_of_the_vectors() {
        let (num_classes, num_features) = (3, 150);
        let mut rng = ChaCha8Rng::seed_from_u64(11);
        let mut drawn = |mean: f32| {
            let len = num_classes * (num_features + 1);
            let values: Vec<f32> = (0..len).map(|_| mean + rng.random_range(-1.0..1.0)).collect();
            let (bias, weight) = values.split_at(num_classes);
            Vector::of(&Head { weight: weight.to_vec(), bias: bias.to_vec() })
        };
        let mut curvature = Curvature::new();
        let mut gradient = drawn(0.0);
        curvature.set_gradient(&gradient);
        for step_number in 0..2 * MEMORY {
            // The gradient grows along the step.
            let (mut step, mut before) = (drawn(0.5), gradient.clone());
            let change = drawn(0.5);
            let expected = (step.head(num_features), change.head(num_features));
            gradient.set_to(&[([1.0; 2], &before), ([1.0; 2], &change)]);
            curvature.remember(&mut step, &mut before, &gradient);
            let number = *curvature.order.back().unwrap();
            assert_eq!(curvature.secants[number].step.head(num_features), expected.0);
            let found = curvature.secants[number].change.head(num_features);
            for (found, expected) in found.weight.iter().zip(&expected.1.weight) {
                assert!((found - expected).abs() < 1e-4);
            }
            if step_number % 3 == 2 {
                curvature.change_penalty(0.1);
                gradient.add_weights(0.1, &change);
                curvature.set_gradient(&gradient);
            }
            assert_eq!(curvature.order.len(), MEMORY.min(step_number + 1));
            let secants = curvature.secants.iter().flat_map(|it| [&it.step, &it.change]);
            let heads: Vec<_> =
                secants.chain([&gradient]).map(|vector| vector.head(num_features)).collect();
            let places: Vec<_> =
                (0..2 * curvature.secants.len()).chain([GRADIENT]).zip(&heads).collect();
            for (place, a) in &places {
                for (other, b) in &places {
                    let product = |a: &[f32], b: &[f32]| -> f64 {
                        a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
                    };
                    let expected = [product(&a.weight, &b.weight), product(&a.bias, &b.bias)];
                    for (found, expected) in curvature.products[*place][*other].iter().zip(expected)
                    {
                        assert!((found - expected).abs() < 1e-3, "{found} and {expected}");
                    }
                }
            }
        }
    }
}
