//! What a head says of each image.

use crate::error::Result;
use crate::features::SplitFeatures;
use crate::metrics::{cross_entropy, softmax};
use crate::model::head::Head;

/// Rows per matrix product: logits of 133 classes then stay in the cache.
const ROWS: usize = 256;

/// One image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prediction {
    /// Its class.
    pub target: usize,
    /// The class with the highest logit.
    pub predicted: usize,
    /// Probability of `predicted`, 0 to 1.
    pub confidence: f64,
    /// Cross-entropy, in nats.
    pub loss: f64,
}

impl Prediction {
    /// From the logits `[C]` of an image; they are divided by `temperature`, which changes
    /// probabilities and the loss, not the prediction.
    pub fn new(logits: &[f32], target: usize, temperature: f64) -> Self {
        let scaled: Vec<f32> =
            logits.iter().map(|&logit| (f64::from(logit) / temperature) as f32).collect();
        let best = scaled.iter().enumerate().max_by(|(_, a), (_, b)| a.total_cmp(b));
        let predicted = best.map_or(0, |(class, _)| class);
        Prediction {
            target,
            predicted,
            confidence: softmax(&scaled)[predicted],
            loss: cross_entropy(&scaled, target),
        }
    }

    /// Whether the prediction is right.
    pub fn is_correct(&self) -> bool {
        self.predicted == self.target
    }
}

/// A prediction for each row of `features`, in their order.
///
/// # Errors
/// When features cannot be read.
pub fn predict(head: &Head, features: &SplitFeatures, temperature: f64) -> Result<Vec<Prediction>> {
    let packed = head.pack();
    let mut predictions = Vec::with_capacity(features.targets().len());
    features.for_each_chunk(ROWS, |rows, targets| {
        let logits = packed.logits(rows);
        let rows = logits.chunks_exact(head.num_classes()).zip(targets);
        predictions.extend(rows.map(|(row, &target)| Prediction::new(row, target, temperature)));
        Ok(())
    })?;
    Ok(predictions)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::FeatureMatrix;

    #[test]
    fn an_image_by_hand_at_two_temperatures() {
        // Softmax of (ln 1, ln 4, ln 4 + ln 4) is (1, 4, 16) / 21; at 2 it is (1, 2, 4) / 7.
        let logits = [0.0, 4.0f32.ln(), 16.0f32.ln()];
        for (temperature, confidence, of_target) in
            [(1.0, 16.0 / 21.0, 4.0 / 21.0), (2.0, 4.0 / 7.0, 2.0 / 7.0)]
        {
            let prediction = Prediction::new(&logits, 1, temperature);
            assert_eq!(prediction.predicted, 2);
            assert!(!prediction.is_correct());
            assert!((prediction.confidence - confidence).abs() < 1e-6, "{prediction:?}");
            assert!((prediction.loss + f64::ln(of_target)).abs() < 1e-6, "{prediction:?}");
        }
    }

    #[test]
    fn there_is_a_prediction_for_every_row() {
        let head = Head { weight: vec![1.0, 0.0, 0.0, 1.0], bias: vec![0.0, 0.0] };
        let mut features = FeatureMatrix::new(2);
        for row in 0..ROWS + 3 {
            let class = row % 2;
            features.push(if class == 0 { &[9.0, 0.0] } else { &[0.0, 9.0] }, class);
        }
        let predictions = predict(&head, &features.into(), 1.0).unwrap();
        assert_eq!(predictions.len(), ROWS + 3);
        assert!(predictions.iter().all(Prediction::is_correct));
    }
}
