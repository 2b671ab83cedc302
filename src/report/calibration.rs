//! Whether confidence is accuracy.

use super::predictions::Prediction;

/// Bins of equal width, as in Guo et al. 2017, "On Calibration of Modern Neural Networks".
const NUM_BINS: usize = 15;

/// Predictions of about the same confidence: `(m - 1) / 15 < confidence <= m / 15` for one m.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bin {
    /// Predictions in it; never 0.
    pub num_images: usize,
    /// Their mean confidence, 0 to 1.
    pub confidence: f64,
    /// The part of them that is right.
    pub accuracy: f64,
}

/// How far the probabilities can be believed.
#[derive(Debug, Clone, PartialEq)]
pub struct Calibration {
    /// By confidence, without those that are empty.
    pub bins: Vec<Bin>,
    /// Expected calibration error: the mean of `|accuracy - confidence|` over the bins, weighted by
    /// their images. 0 without images.
    pub expected_error: f64,
}

impl Calibration {
    /// Of `predictions`; those whose confidence is not a number are left out.
    pub fn new(predictions: &[Prediction]) -> Self {
        let mut sums = [(0usize, 0.0f64, 0usize); NUM_BINS];
        for prediction in predictions.iter().filter(|it| it.confidence.is_finite()) {
            let sum = &mut sums[bin(prediction.confidence)];
            sum.0 += 1;
            sum.1 += prediction.confidence;
            sum.2 += usize::from(prediction.is_correct());
        }
        let bins: Vec<Bin> = sums
            .into_iter()
            .filter(|&(num_images, ..)| num_images > 0)
            .map(|(num_images, confidence, num_correct)| Bin {
                num_images,
                confidence: confidence / num_images as f64,
                accuracy: num_correct as f64 / num_images as f64,
            })
            .collect();
        let num_images: usize = bins.iter().map(|bin| bin.num_images).sum();
        let weighted: f64 = bins
            .iter()
            .map(|bin| bin.num_images as f64 * (bin.accuracy - bin.confidence).abs())
            .sum();
        Calibration { expected_error: weighted / num_images.max(1) as f64, bins }
    }

    /// Mean confidence and accuracy of all images; `None` without any.
    pub fn means(&self) -> Option<(f64, f64)> {
        let num_images: usize = self.bins.iter().map(|bin| bin.num_images).sum();
        let mean = |value: fn(&Bin) -> f64| {
            let sum: f64 = self.bins.iter().map(|bin| value(bin) * bin.num_images as f64).sum();
            sum / num_images as f64
        };
        (num_images > 0).then(|| (mean(|bin| bin.confidence), mean(|bin| bin.accuracy)))
    }
}

fn bin(confidence: f64) -> usize {
    ((confidence * NUM_BINS as f64).ceil() as usize).clamp(1, NUM_BINS) - 1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn prediction(confidence: f64, is_correct: bool) -> Prediction {
        Prediction { target: 0, predicted: usize::from(!is_correct), confidence, loss: 0.0 }
    }

    #[test]
    fn two_bins_by_hand() {
        let predictions = [
            prediction(0.95, true),
            prediction(0.97, false),
            prediction(0.50, true),
            prediction(0.52, true),
            prediction(f64::NAN, true),
        ];
        let calibration = Calibration::new(&predictions);
        let [low, high] = calibration.bins[..] else { panic!("{calibration:?}") };
        assert_eq!((low.num_images, low.accuracy), (2, 1.0));
        assert_eq!((high.num_images, high.accuracy), (2, 0.5));
        assert!((low.confidence - 0.51).abs() < 1e-12 && (high.confidence - 0.96).abs() < 1e-12);
        // (2 * |1 - 0.51| + 2 * |0.5 - 0.96|) / 4
        assert!((calibration.expected_error - 0.475).abs() < 1e-12, "{calibration:?}");
        let (confidence, accuracy) = calibration.means().unwrap();
        assert!((confidence - 0.735).abs() < 1e-12 && accuracy == 0.75);
    }

    #[test]
    fn a_bin_has_its_upper_end_and_nothing_is_no_error() {
        assert_eq!([0.0, 1.0 / 15.0, 0.0667, 1.0].map(bin), [0, 0, 1, 14]);
        assert_eq!(Calibration::new(&[]).expected_error, 0.0);
        assert_eq!(Calibration::new(&[]).means(), None);
    }

    proptest! {
        #[test]
        fn the_error_is_at_least_the_difference_of_the_means(
            images in prop::collection::vec((0.0..=1.0f64, any::<bool>()), 1..300)
        ) {
            let predictions: Vec<Prediction> =
                images.iter().map(|&(confidence, correct)| prediction(confidence, correct)).collect();
            let calibration = Calibration::new(&predictions);
            let num_images: usize = calibration.bins.iter().map(|bin| bin.num_images).sum();
            prop_assert_eq!(num_images, images.len());
            let (confidence, accuracy) = calibration.means().unwrap();
            prop_assert!(calibration.expected_error >= (confidence - accuracy).abs() - 1e-9);
            prop_assert!(calibration.expected_error <= 1.0);
        }
    }
}
