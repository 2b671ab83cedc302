//! The temperature at which a head's probabilities can be believed.

use crate::error::Result;
use crate::features::SplitFeatures;
use crate::metrics::softmax;
use crate::model::head::Head;

/// The least and the greatest temperature.
const RANGE: [f64; 2] = [0.25, 8.0];
/// Images below which no temperature is fitted: on fewer it is mostly chance.
const MIN_VALID: usize = 50;
/// Halvings of the interval of log temperatures, which leave less than 1e-8 of it.
const NUM_HALVINGS: usize = 30;
/// Rows per matrix product.
const ROWS: usize = 256;

/// The temperature `T` at which `softmax(logits / T)` has the lowest mean cross-entropy on a split
/// that the head was not fitted on (Guo et al. 2017), from 0.25 to 8; `None` when the split has fewer
/// than 50 images.
///
/// The loss is convex in `1 / T`: where its derivative changes sign is the one minimum.
///
/// # Errors
/// When features cannot be read.
pub fn fit(head: &Head, valid: &SplitFeatures) -> Result<Option<f64>> {
    if valid.targets().len() < MIN_VALID {
        return Ok(None);
    }
    let head = head.pack();
    let mut logits = Vec::new();
    valid.for_each_chunk(ROWS, |rows, _| {
        logits.extend(head.logits(rows));
        Ok(())
    })?;
    Ok(Some(lowest(&logits, valid.targets())))
}

/// Whether the temperature for logits `[N, C]` is above 1; not where there are too few images for one.
pub(super) fn is_above_1(logits: &[f32], targets: &[usize]) -> bool {
    targets.len() >= MIN_VALID && slope(logits, targets, 1.0) > 0.0
}

/// The derivative of the loss by `1 / T`, times the number of images: mean logit under the probabilities, less
/// the target's. Above zero the temperature must rise.
fn slope(logits: &[f32], targets: &[usize], temperature: f64) -> f64 {
    let rows = logits.chunks_exact(logits.len() / targets.len()).zip(targets);
    rows.map(|(row, &target)| {
        let own = f64::from(row[target]);
        let pairs = probabilities(row, temperature).into_iter().zip(row);
        pairs.map(|(probability, &logit)| probability * (f64::from(logit) - own)).sum::<f64>()
    })
    .sum()
}

/// The temperature for any number of images.
fn lowest(logits: &[f32], targets: &[usize]) -> f64 {
    let [mut low, mut high] = RANGE.map(f64::ln);
    for _ in 0..NUM_HALVINGS {
        let middle = 0.5 * (low + high);
        if slope(logits, targets, middle.exp()) > 0.0 {
            low = middle;
        } else {
            high = middle;
        }
    }
    (0.5 * (low + high)).exp()
}

/// Probabilities `[C]` of one row of logits `[C]` at a temperature; 1 is plain softmax.
pub fn probabilities(logits: &[f32], temperature: f64) -> Vec<f64> {
    let scaled: Vec<f32> =
        logits.iter().map(|&logit| (f64::from(logit) / temperature) as f32).collect();
    softmax(&scaled)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::FeatureMatrix;

    #[test]
    fn probabilities_at_the_temperature_are_the_frequencies() {
        // Two classes whose logits differ by `gap`; three of four samples are of the likelier one.
        for gap in [0.3, 1.0, 8.0] {
            let logits = [gap, 0.0].repeat(4);
            let temperature = lowest(&logits, &[0, 0, 0, 1]);
            // ln(3 / 1) is the gap that three of four deserve.
            assert!((temperature / (f64::from(gap) / 3f64.ln()) - 1.0).abs() < 1e-6);
            assert!((probabilities(&logits[..2], temperature)[0] - 0.75).abs() < 1e-6);
        }
    }

    #[test]
    fn a_temperature_stays_within_its_range() {
        assert!((lowest(&[1.0, 0.0], &[0]) - RANGE[0]).abs() < 1e-6);
        assert!((lowest(&[1.0, 0.0], &[1]) - RANGE[1]).abs() < 1e-6);
    }

    #[test]
    fn a_temperature_is_above_1_where_the_right_are_fewer_than_the_logits_say() {
        // Three of four samples are of the likelier class.
        let targets = [0, 0, 0, 1].repeat(MIN_VALID / 4 + 1);
        for gap in [0.9, 1.0, 1.2, 8.0] {
            let logits = [gap, 0.0].repeat(targets.len());
            assert_eq!(is_above_1(&logits, &targets), f64::from(gap) > 3f64.ln());
            assert!(!is_above_1(&logits, &targets[..MIN_VALID - 1]));
        }
    }

    #[test]
    fn a_few_images_give_no_temperature() {
        let head = Head { weight: vec![1.0, 0.0], bias: vec![0.0, 0.0] };
        let mut valid = FeatureMatrix::new(1);
        (0..MIN_VALID - 1).for_each(|_| valid.push(&[1.0], 0));
        assert_eq!(fit(&head, &valid.clone().into()).unwrap(), None);
        valid.push(&[1.0], 1);
        assert!(fit(&head, &valid.into()).unwrap().is_some());
    }
}
