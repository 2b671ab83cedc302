//! Features brought to a range in which the fit is quick.

use crate::error::{Error, Result};
use crate::features::FeatureMatrix;
use crate::model::head::Head;

/// Centres features and divides them by one number, so that their mean variance is one.
///
/// With a bias that is not penalized this changes nothing in the optimum but makes it quick to
/// reach: the mean of ResNet50's features, which are never negative, is otherwise by far the
/// direction of largest curvature.
pub(super) struct Scaling {
    /// `[F]` f32.
    mean: Vec<f32>,
    /// Root of the mean variance.
    deviation: f64,
}

impl Scaling {
    pub(super) fn of(train: &FeatureMatrix) -> Result<Self> {
        let num_samples = train.targets.len().max(1) as f64;
        let mut mean = vec![0.0f64; train.num_features];
        for row in train.rows() {
            for (mean, &value) in mean.iter_mut().zip(row) {
                *mean += f64::from(value) / num_samples;
            }
        }
        let mut variance = 0.0;
        for row in train.rows() {
            let distance: f64 =
                mean.iter().zip(row).map(|(mean, &value)| (f64::from(value) - mean).powi(2)).sum();
            variance += distance / (num_samples * train.num_features as f64);
        }
        let mean_square = mean.iter().map(|value| value * value).sum::<f64>() / mean.len() as f64;
        // Rounding alone leaves some 1e-32; features of f32 that differ at all leave far more.
        if !(variance.is_finite() && variance > 1e-16 * mean_square) {
            return Err(Error::Diverged {
                reason: format!("the features of all train images are alike (variance {variance})"),
                remedy: "Check the weights file: a network of zeros or NaN gives such features."
                    .into(),
            });
        }
        let mean: Vec<f32> = mean.iter().map(|&value| value as f32).collect();
        Ok(Scaling { mean, deviation: variance.sqrt() })
    }

    /// Writes centred and scaled features to `out`, both from the feature `first` on.
    pub(super) fn apply(&self, first: usize, features: &[f32], out: &mut [f32]) {
        let factor = (1.0 / self.deviation) as f32;
        let mean = &self.mean[first..];
        for ((out, &value), &mean) in out.iter_mut().zip(features).zip(mean) {
            *out = (value - mean) * factor;
        }
    }

    /// The head that gives the same logits on plain features.
    pub(super) fn fold_into(&self, head: &Head) -> Head {
        let factor = 1.0 / self.deviation;
        let mut folded = head.clone();
        let rows = folded.weight.chunks_exact_mut(self.mean.len());
        for (row, bias) in rows.zip(&mut folded.bias) {
            let mut shift = 0.0;
            for (weight, &mean) in row.iter_mut().zip(&self.mean) {
                let scaled = f64::from(*weight) * factor;
                shift += scaled * f64::from(mean);
                *weight = scaled as f32;
            }
            *bias = (f64::from(*bias) - shift) as f32;
        }
        folded
    }
}
