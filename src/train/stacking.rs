//! The weights of heads at which the loss of their mean is lowest, by exponentiated gradient.
//!
//! Each step multiplies every weight by a factor, so that all stay positive (Kivinen and Warmuth 1997). The loss
//! is convex in them.

use rayon::prelude::*;

use super::softmax::subtract_target;
use super::vector::{Add, dot};
use crate::kernels::isa::Isa;

/// Images below which dozens of weights are not chosen: `docs/recipe.md` says what that gave.
pub(super) const MIN_IMAGES: usize = 200;
/// Of the weights and of each step, whether the loss falls or not.
const NUM_EVALUATIONS: usize = 20;
/// Length of the first step, times the loss.
const RATE: f64 = 10.0;
/// What a step's length is multiplied by after one that lowers the loss.
const GROWTH: f64 = 1.5;
/// The same after one that does not and is taken back.
const SHRINKAGE: f64 = 0.5;
/// Images that one thread goes through at once.
const ROWS: usize = 24;

/// Lowers the mean cross-entropy of the mean of `logits`, `[N, C]` of each head, on images of these
/// `targets`. `weights`, one of each head, add up to 1.
///
/// The result does not depend on the number of threads.
pub(super) fn lower_loss(weights: &mut [f64], logits: &[Vec<f32>], targets: &[usize]) {
    let (mut loss, mut gradient) = evaluate(weights, logits, targets);
    let mut rate = RATE / loss;
    for _ in 1..NUM_EVALUATIONS {
        let next = step(weights, &gradient, rate);
        let (next_loss, next_gradient) = evaluate(&next, logits, targets);
        if next_loss < loss {
            weights.copy_from_slice(&next);
            (loss, gradient) = (next_loss, next_gradient);
            rate *= GROWTH;
        } else {
            rate *= SHRINKAGE;
        }
    }
}

fn step(weights: &[f64], gradient: &[f64], rate: f64) -> Vec<f64> {
    // No factor is greater than 1.
    let lowest = gradient.iter().copied().fold(f64::INFINITY, f64::min);
    let pairs = weights.iter().zip(gradient);
    let mut next: Vec<f64> =
        pairs.map(|(weight, slope)| weight * (rate * (lowest - slope)).exp()).collect();
    let sum: f64 = next.iter().sum();
    next.iter_mut().for_each(|weight| *weight /= sum);
    next
}

/// The mean cross-entropy, and its gradient by the weights.
fn evaluate(weights: &[f64], logits: &[Vec<f32>], targets: &[usize]) -> (f64, Vec<f64>) {
    let isa = Isa::fastest();
    let num_classes = logits.first().map_or(0, Vec::len) / targets.len();
    let chunks = targets.par_chunks(ROWS).enumerate().map_init(Vec::new, |mean, (chunk, own)| {
        let first = chunk * ROWS * num_classes;
        let rows = first..first + own.len() * num_classes;
        mean.clear();
        mean.resize(rows.len(), 0.0);
        for (&weight, logits) in weights.iter().zip(logits) {
            isa.run(Add { to: mean, factor: weight as f32, values: &logits[rows.clone()] });
        }
        let images = mean.chunks_exact_mut(num_classes).zip(own);
        let losses = images.map(|(row, &target)| subtract_target(isa, row, target, targets.len()));
        let loss: f64 = losses.sum();
        // What were logits is the gradient by them.
        let products = logits.iter().map(|logits| dot(isa, mean, &logits[rows.clone()]));
        (loss, products.collect::<Vec<_>>())
    });
    let mut sums = (0.0, vec![0.0; weights.len()]);
    for (loss, products) in chunks.collect::<Vec<_>>() {
        sums.0 += loss;
        sums.1.iter_mut().zip(products).for_each(|(sum, product)| *sum += product);
    }
    (sums.0 / targets.len() as f64, sums.1)
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    const NUM_CLASSES: usize = 5;

    /// Logits of `num_heads` heads, each with errors of its own, and the targets.
    fn drawn(num_heads: usize, scale: f32) -> (Vec<Vec<f32>>, Vec<usize>) {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let targets: Vec<usize> = (0..NUM_CLASSES).cycle().take(7 * ROWS + 5).collect();
        let heads = (0..num_heads).map(|_| {
            let rows = targets.iter().flat_map(|&target| {
                let right = |class| f32::from(class == target);
                (0..NUM_CLASSES).map(right).collect::<Vec<_>>()
            });
            rows.map(|right| scale * (2.0 * right + rng.random_range(-3.0..3.0))).collect()
        });
        (heads.collect(), targets)
    }

    #[test]
    fn the_gradient_is_that_of_the_loss() {
        let (logits, targets) = drawn(3, 1.0);
        let weights = [0.2, 0.5, 0.3];
        let (_, gradient) = evaluate(&weights, &logits, &targets);
        for (index, slope) in gradient.into_iter().enumerate() {
            let loss_at = |shift: f64| {
                let mut weights = weights;
                weights[index] += shift;
                evaluate(&weights, &logits, &targets).0
            };
            let expected = (loss_at(1e-2) - loss_at(-1e-2)) / 2e-2;
            assert!((slope - expected).abs() < 1e-3, "{slope} instead of {expected}");
        }
    }

    #[test]
    fn the_weights_are_those_with_the_lowest_loss() {
        // The second time, the first steps are far too long.
        for scale in [1.0, 30.0] {
            let (logits, targets) = drawn(2, scale);
            let loss = |weight: f64| evaluate(&[weight, 1.0 - weight], &logits, &targets).0;
            let lowest = (0..=1000)
                .map(|index| loss(f64::from(index) / 1000.0))
                .fold(f64::INFINITY, f64::min);
            let mut weights = [0.95, 0.05];
            lower_loss(&mut weights, &logits, &targets);
            assert!((weights[0] + weights[1] - 1.0).abs() < 1e-9, "{weights:?}");
            let found = loss(weights[0]);
            assert!(found < lowest * 1.001, "{found} instead of {lowest}, {weights:?}");
            assert!(lowest < 0.9 * loss(0.95), "nothing was to be gained");
        }
    }

    #[test]
    fn a_mean_of_many_heads_gets_better_and_has_the_same_bits_for_any_number_of_threads() {
        let (logits, targets) = drawn(12, 1.0);
        // The first heads err most.
        let start: Vec<f64> = (0..12).map(|index| if index < 2 { 0.4 } else { 0.02 }).collect();
        let chosen = [1, 2, 4].map(|num_threads| {
            let mut weights = start.clone();
            let pool = rayon::ThreadPoolBuilder::new().num_threads(num_threads).build().unwrap();
            pool.install(|| lower_loss(&mut weights, &logits, &targets));
            weights
        });
        assert!(chosen.iter().all(|weights| *weights == chosen[0]));
        let even = evaluate(&[1.0 / 12.0; 12], &logits, &targets).0;
        let found = evaluate(&chosen[0], &logits, &targets).0;
        assert!(found < even, "{found}, where even weights give {even}");
        assert!(chosen[0].iter().all(|&weight| weight > 0.0));
    }
}
