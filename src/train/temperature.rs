//! The temperature that makes probabilities honest.

use crate::error::{Error, Result};
use crate::features::FeatureMatrix;
use crate::metrics::softmax;
use crate::model::head::Head;

/// Temperatures are looked for from `1 / MAX` to `MAX`.
const MAX: f64 = 20.0;
/// Halvings of the interval of log temperatures, which leave less than 1e-8 of it.
const NUM_HALVINGS: usize = 30;

/// The temperature `T` at which `softmax(logits / T)` has the lowest mean cross-entropy on a split
/// that the head was not fitted on (Guo et al. 2017).
///
/// The loss is convex in `1 / T`: where its derivative changes sign is the one minimum.
///
/// # Errors
/// [`Error::Internal`] when a logit is not a number.
pub fn fit(head: &Head, valid: &FeatureMatrix) -> Result<f64> {
    let logits = head.pack().logits(&valid.values); // [N, C]
    if logits.iter().any(|logit| !logit.is_finite()) {
        return Err(Error::Internal("a logit of the validation split is not a number".into()));
    }
    Ok(of_logits(&logits, &valid.targets))
}

/// The same of logits `[N, C]`.
fn of_logits(logits: &[f32], targets: &[usize]) -> f64 {
    let num_classes = logits.len() / targets.len().max(1);
    if num_classes < 2 {
        return 1.0;
    }
    // By 1 / T: mean logit under the probabilities, less the target's.
    let slope = |temperature: f64| -> f64 {
        let rows = logits.chunks_exact(num_classes).zip(targets);
        rows.map(|(row, &target)| {
            let probabilities = probabilities(row, temperature);
            let own = f64::from(row[target]);
            probabilities
                .iter()
                .zip(row)
                .map(|(p, &logit)| p * (f64::from(logit) - own))
                .sum::<f64>()
        })
        .sum()
    };
    let (mut low, mut high) = (-MAX.ln(), MAX.ln());
    for _ in 0..NUM_HALVINGS {
        let middle = 0.5 * (low + high);
        // Too sure of itself where the slope is positive: the temperature must rise.
        if slope(middle.exp()) > 0.0 {
            low = middle;
        } else {
            high = middle;
        }
    }
    (0.5 * (low + high)).exp()
}

/// Probabilities `[C]` of one row of logits `[C]` at a temperature; 1 is plain softmax.
pub fn probabilities(logits: &[f32], temperature: f64) -> Vec<f64> {
    let cooled: Vec<f32> =
        logits.iter().map(|&logit| (f64::from(logit) / temperature) as f32).collect();
    softmax(&cooled)
}

/// The head whose logits are those of `head` divided by the temperature.
pub fn cooled(head: &Head, temperature: f64) -> Head {
    let divide = |values: &[f32]| -> Vec<f32> {
        values.iter().map(|&value| (f64::from(value) / temperature) as f32).collect()
    };
    Head { weight: divide(&head.weight), bias: divide(&head.bias) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two classes whose logits differ by `gap`; three of four samples are of the likelier one.
    fn split(gap: f32) -> (Vec<f32>, Vec<usize>) {
        ([gap, 0.0].repeat(4), vec![0, 0, 0, 1])
    }

    #[test]
    fn probabilities_at_the_temperature_are_the_frequencies() {
        for gap in [0.3, 1.0, 8.0] {
            let (logits, targets) = split(gap);
            let temperature = of_logits(&logits, &targets);
            // ln(3 / 1) is the gap that three of four deserve.
            assert!((temperature / (f64::from(gap) / 3f64.ln()) - 1.0).abs() < 1e-6);
            assert!((probabilities(&logits[..2], temperature)[0] - 0.75).abs() < 1e-6);
        }
    }

    #[test]
    fn a_split_that_is_always_right_ends_at_the_bound() {
        let temperature = of_logits(&[1.0, 0.0], &[0]);
        assert!((temperature * MAX - 1.0).abs() < 1e-6, "{temperature}");
        assert_eq!(of_logits(&[1.0], &[0]), 1.0);
        assert_eq!(of_logits(&[], &[]), 1.0);
    }
}
