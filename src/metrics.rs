//! Loss, top-1 and top-5 accuracy, averaged per sample.

use serde::{Deserialize, Serialize};

/// Averages over the samples of one pass.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// Mean cross-entropy, in nats.
    pub loss: f64,
    /// Fraction of samples whose target has the highest logit.
    pub top1_accuracy: f64,
    /// Fraction of samples whose target is among the five highest logits.
    pub top5_accuracy: f64,
    /// Samples in the average.
    pub num_samples: usize,
}

/// Sums up batches of any size; every sample weighs the same.
#[derive(Debug, Default)]
pub struct Accumulator {
    loss: f64,
    top1: usize,
    top5: usize,
    num_samples: usize,
}

impl Accumulator {
    /// Adds a batch: `logits` `[N, C]` row by row, `targets` `[N]` below `C`.
    pub fn add(&mut self, logits: &[f32], targets: &[usize]) {
        if targets.is_empty() {
            return;
        }
        let num_classes = logits.len() / targets.len();
        for (row, &target) in logits.chunks_exact(num_classes).zip(targets) {
            self.add_sample(cross_entropy(row, target), rank(row, target));
        }
    }

    /// Adds a sample with its cross-entropy, in nats, and its target's [`rank`].
    pub fn add_sample(&mut self, loss: f64, rank: usize) {
        self.loss += loss;
        self.top1 += usize::from(rank < 1);
        self.top5 += usize::from(rank < 5);
        self.num_samples += 1;
    }

    /// Adds all samples of another one.
    pub fn add_all(&mut self, other: &Accumulator) {
        self.loss += other.loss;
        self.top1 += other.top1;
        self.top5 += other.top5;
        self.num_samples += other.num_samples;
    }

    /// The averages so far; not a number without samples.
    pub fn mean(&self) -> Metrics {
        let num_samples = self.num_samples as f64;
        Metrics {
            loss: self.loss / num_samples,
            top1_accuracy: self.top1 as f64 / num_samples,
            top5_accuracy: self.top5 as f64 / num_samples,
            num_samples: self.num_samples,
        }
    }
}

/// Probabilities `[C]` of one row of logits `[C]`.
pub fn softmax(logits: &[f32]) -> Vec<f64> {
    let max = max(logits);
    let exp: Vec<f64> = logits.iter().map(|&logit| (f64::from(logit) - max).exp()).collect();
    let sum: f64 = exp.iter().sum();
    exp.iter().map(|value| value / sum).collect()
}

/// `-ln softmax(logits)[target]`, in nats.
pub fn cross_entropy(logits: &[f32], target: usize) -> f64 {
    let max = max(logits);
    let sum: f64 = logits.iter().map(|&logit| (f64::from(logit) - max).exp()).sum();
    sum.ln() + max - f64::from(logits[target])
}

/// How many classes come before `target`. Ties count against it, and so does a NaN, so that a
/// degenerate network never looks accurate.
pub fn rank(logits: &[f32], target: usize) -> usize {
    let own = logits[target];
    logits
        .iter()
        .enumerate()
        .filter(|&(class, &logit)| {
            class != target && !matches!(logit.partial_cmp(&own), Some(std::cmp::Ordering::Less))
        })
        .count()
}

fn max(logits: &[f32]) -> f64 {
    f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_samples_by_hand() {
        // Softmax of (ln 1, ln 2, ln 5) is (1/8, 2/8, 5/8).
        let row: [f32; 3] = [1.0f32.ln(), 2.0f32.ln(), 5.0f32.ln()];
        let mut accumulator = Accumulator::default();
        accumulator.add(&[row, row].concat(), &[2, 0]);
        let metrics = accumulator.mean();
        let expected = -((5.0f64 / 8.0).ln() + (1.0f64 / 8.0).ln()) / 2.0;
        assert!((metrics.loss - expected).abs() < 1e-6, "{}", metrics.loss);
        assert_eq!(metrics.top1_accuracy, 0.5);
        assert_eq!(metrics.top5_accuracy, 1.0);
        assert_eq!(metrics.num_samples, 2);
    }

    #[test]
    fn every_sample_weighs_the_same_whatever_its_batch() {
        let mut accumulator = Accumulator::default();
        accumulator.add(&[1.0, 0.0, 1.0, 0.0, 1.0, 0.0], &[0, 0, 0]);
        let mut other = Accumulator::default();
        other.add(&[1.0, 0.0], &[1]);
        accumulator.add_all(&other);
        accumulator.add_sample(2.0, 5);
        let metrics = accumulator.mean();
        assert_eq!((metrics.top1_accuracy, metrics.top5_accuracy), (0.6, 0.8));
        assert_eq!(metrics.num_samples, 5);
        // ln(1 + e^-1), three times, ln(1 + e), and 2.
        let expected = (3.0 * (-1f64).exp().ln_1p() + 1f64.exp().ln_1p() + 2.0) / 5.0;
        assert!((metrics.loss - expected).abs() < 1e-12, "{}", metrics.loss);
    }

    #[test]
    fn a_tie_or_a_nan_is_not_a_hit() {
        assert_eq!(rank(&[1.0, 1.0], 0), 1);
        assert_eq!(rank(&[f32::NAN, 0.0], 0), 1);
        assert_eq!(rank(&[0.0, f32::NAN], 0), 1);
    }

    #[test]
    fn large_logits_do_not_overflow() {
        assert_eq!(cross_entropy(&[1e4, 0.0], 0), 0.0);
        assert_eq!(cross_entropy(&[1e4, 0.0], 1), 1e4);
        assert_eq!(softmax(&[-1e4, 0.0]), [0.0, 1.0]);
    }
}
