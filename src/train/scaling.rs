//! Features brought to a range in which the fit is quick.

use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::features::SplitFeatures;
use crate::model::head::Head;

/// A feature whose deviation is less than this part of the root of the mean variance is divided by
/// that part: one that almost never differs from zero says little, and must not say it loudly.
const MIN_DEVIATION: f64 = 0.1;

/// Centres each feature and divides it by its standard deviation.
///
/// Centring changes nothing in the optimum, with a bias that is not penalized, but makes it quick to
/// reach: the mean of ResNet50's features, which are never negative, is otherwise by far the
/// direction of largest curvature. Dividing makes the L2 penalty weigh every feature alike.
pub(super) struct Scaling {
    /// `[F]` f32.
    mean: Vec<f32>,
    /// `[F]`, none zero.
    deviation: Vec<f64>,
    /// `[F]` f32, one over the deviation.
    factor: Vec<f32>,
}

impl Scaling {
    pub(super) fn of(train: &SplitFeatures) -> Result<Self> {
        let mean = means(train, &vec![0.0; train.num_features()], |value| value)?;
        let variance = means(train, &mean, |difference| difference * difference)?;
        let mean_variance = variance.iter().sum::<f64>() / variance.len() as f64;
        let mean_square = mean.iter().map(|value| value * value).sum::<f64>() / mean.len() as f64;
        // Rounding alone leaves some 1e-32; features of f32 that differ at all leave far more.
        if !(mean_variance.is_finite() && mean_variance > 1e-16 * mean_square) {
            return Err(Error::Diverged {
                reason: format!(
                    "the features of all train images are alike (variance {mean_variance})"
                ),
                remedy: "Check the weights file: a network of zeros or NaN gives such features."
                    .into(),
            });
        }
        let least = MIN_DEVIATION * mean_variance.sqrt();
        let deviation: Vec<f64> =
            variance.iter().map(|variance| variance.sqrt().max(least)).collect();
        Ok(Scaling {
            mean: mean.iter().map(|&value| value as f32).collect(),
            factor: deviation.iter().map(|deviation| (1.0 / deviation) as f32).collect(),
            deviation,
        })
    }

    /// F
    pub(super) fn num_features(&self) -> usize {
        self.mean.len()
    }

    /// Writes centred and scaled features to `out`, both from the feature `first` on.
    pub(super) fn apply(&self, first: usize, features: &[f32], out: &mut [f32]) {
        let (mean, factor) = (&self.mean[first..], &self.factor[first..]);
        for (((out, &value), &mean), &factor) in out.iter_mut().zip(features).zip(mean).zip(factor)
        {
            *out = (value - mean) * factor;
        }
    }

    /// The head that gives the same logits on plain features.
    pub(super) fn fold_into(&self, head: &Head) -> Head {
        let mut folded = head.clone();
        let rows = folded.weight.par_chunks_exact_mut(self.mean.len());
        rows.zip(&mut folded.bias).for_each(|(row, bias)| {
            let mut shift = 0.0;
            for ((weight, &mean), deviation) in row.iter_mut().zip(&self.mean).zip(&self.deviation)
            {
                let scaled = f64::from(*weight) / deviation;
                shift += scaled * f64::from(mean);
                *weight = scaled as f32;
            }
            *bias = (f64::from(*bias) - shift) as f32;
        });
        folded
    }

    /// The head for scaled features that [`Scaling::fold_into`] makes this one of.
    pub(super) fn unfold(&self, folded: &Head) -> Head {
        let mut head = folded.clone();
        let rows = head.weight.par_chunks_exact_mut(self.mean.len());
        rows.zip(&mut head.bias).for_each(|(row, bias)| {
            let mut shift = 0.0;
            for ((weight, &mean), deviation) in row.iter_mut().zip(&self.mean).zip(&self.deviation)
            {
                shift += f64::from(*weight) * f64::from(mean);
                *weight = (f64::from(*weight) * deviation) as f32;
            }
            *bias = (f64::from(*bias) + shift) as f32;
        });
        head
    }
}

/// Features that one thread goes through at once.
const FEATURES: usize = 256;
/// Rows that are gone through at once.
const ROWS: usize = 256;

/// For each feature, the mean over all rows of `term(value - origin)`.
fn means(
    train: &SplitFeatures,
    origin: &[f64],
    term: impl Fn(f64) -> f64 + Sync,
) -> Result<Vec<f64>> {
    let num_samples = train.targets().len().max(1) as f64;
    let num_features = train.num_features();
    let mut means = vec![0.0f64; num_features];
    train.for_each_chunk(ROWS, |rows, _| {
        let parts = means.par_chunks_mut(FEATURES).zip(origin.par_chunks(FEATURES)).enumerate();
        parts.for_each(|(part, (means, origin))| {
            for row in rows.chunks_exact(num_features) {
                let values = &row[part * FEATURES..];
                for ((mean, origin), &value) in means.iter_mut().zip(origin).zip(values) {
                    *mean += term(f64::from(value) - origin);
                }
            }
        });
        Ok(())
    })?;
    means.iter_mut().for_each(|mean| *mean /= num_samples);
    Ok(means)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::FeatureMatrix;

    #[test]
    fn a_folded_head_gives_the_logits_of_the_scaled_features_and_is_unfolded_again() {
        let mut train = FeatureMatrix::new(3);
        // The last feature is constant.
        for (index, row) in [[0.0, 2.0, 5.0], [1.0, 6.0, 5.0], [5.0, 4.0, 5.0]].iter().enumerate() {
            train.push(row, index);
        }
        let scaling = Scaling::of(&train.clone().into()).unwrap();
        let head = Head { weight: vec![1.0, -2.0, 3.0, 0.5, 4.0, -1.0], bias: vec![0.25, -3.0] };
        let folded = scaling.fold_into(&head);
        for row in train.rows() {
            let mut scaled = [0.0; 3];
            scaling.apply(0, row, &mut scaled);
            let pairs = head.pack().logits(&scaled).into_iter().zip(folded.pack().logits(row));
            pairs.for_each(|(a, b)| assert!((a - b).abs() < 1e-4, "{a} {b}"));
        }
        let mut column: Vec<f32> = Vec::new();
        for row in train.rows() {
            let mut scaled = [0.0; 3];
            scaling.apply(0, row, &mut scaled);
            column.push(scaled[1]);
        }
        assert!(column.iter().sum::<f32>().abs() < 1e-6);
        assert!((column.iter().map(|value| value * value).sum::<f32>() / 3.0 - 1.0).abs() < 1e-6);
        let unfolded = scaling.unfold(&folded);
        for (a, b) in
            unfolded.weight.iter().chain(&unfolded.bias).zip(head.weight.iter().chain(&head.bias))
        {
            assert!((a - b).abs() < 1e-5, "{a} {b}");
        }
    }
}
