//! Which classes are taken for which.

use std::collections::BTreeMap;

use super::predictions::Prediction;

/// Counts of target and prediction; classes that nobody confuses take no memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confusion {
    classes: Vec<ClassMeasure>,
    /// Numbers of the images by `(target, predicted)`, where these differ.
    mistakes: BTreeMap<(usize, usize), Vec<usize>>,
}

/// How one class fares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ClassMeasure {
    /// Images of this class.
    pub num_images: usize,
    /// Images that were taken for this class.
    pub num_predicted: usize,
    /// Images of which both is true.
    pub num_correct: usize,
}

impl ClassMeasure {
    /// Part of the images taken for this class that are of it; `None` if there are none.
    pub fn precision(&self) -> Option<f64> {
        ratio(self.num_correct, self.num_predicted)
    }

    /// Part of the images of this class that were found; `None` if there are none.
    pub fn recall(&self) -> Option<f64> {
        ratio(self.num_correct, self.num_images)
    }

    /// Harmonic mean of precision and recall; `None` for a class that is neither there nor predicted.
    pub fn f1(&self) -> Option<f64> {
        ratio(2 * self.num_correct, self.num_images + self.num_predicted)
    }
}

/// Two classes, and the images of one that were taken for the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfusedPair {
    /// The class with more mistakes; of equals, the first.
    pub first: usize,
    /// The other one.
    pub second: usize,
    /// Numbers of the images of `first` that were taken for `second`.
    pub first_as_second: Vec<usize>,
    /// The other way round.
    pub second_as_first: Vec<usize>,
}

impl ConfusedPair {
    /// Images of both that were taken for the other.
    pub fn num_mistakes(&self) -> usize {
        self.first_as_second.len() + self.second_as_first.len()
    }
}

impl Confusion {
    /// Of `predictions`, whose classes are below `num_classes`. An image's number is its place.
    pub fn new(num_classes: usize, predictions: &[Prediction]) -> Self {
        let mut classes = vec![ClassMeasure::default(); num_classes];
        let mut mistakes: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        for (image, &Prediction { target, predicted, .. }) in predictions.iter().enumerate() {
            classes[target].num_images += 1;
            classes[predicted].num_predicted += 1;
            if target == predicted {
                classes[target].num_correct += 1;
            } else {
                mistakes.entry((target, predicted)).or_default().push(image);
            }
        }
        Confusion { classes, mistakes }
    }

    /// In the order of the classes.
    pub fn classes(&self) -> &[ClassMeasure] {
        &self.classes
    }

    /// The pairs of classes with most mistakes, at most `max`.
    pub fn most_confused(&self, max: usize) -> Vec<ConfusedPair> {
        let images = |key| self.mistakes.get(&key).cloned().unwrap_or_default();
        let mut pairs: Vec<ConfusedPair> = self
            .mistakes
            .keys()
            .filter(|&&(a, b)| a < b || !self.mistakes.contains_key(&(b, a)))
            .map(|&(a, b)| {
                let (a, b) = (a.min(b), a.max(b));
                let more = images((b, a)).len() > images((a, b)).len();
                let (first, second) = if more { (b, a) } else { (a, b) };
                ConfusedPair {
                    first,
                    second,
                    first_as_second: images((first, second)),
                    second_as_first: images((second, first)),
                }
            })
            .collect();
        pairs.sort_by_key(|pair| std::cmp::Reverse(pair.num_mistakes()));
        pairs.truncate(max);
        pairs
    }
}

fn ratio(part: usize, whole: usize) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn prediction((target, predicted): (usize, usize)) -> Prediction {
        Prediction { target, predicted, confidence: 0.5, loss: 1.0 }
    }

    fn confusion(num_classes: usize, pairs: &[(usize, usize)]) -> Confusion {
        let predictions: Vec<Prediction> = pairs.iter().copied().map(prediction).collect();
        Confusion::new(num_classes, &predictions)
    }

    #[test]
    fn three_classes_by_hand() {
        let confusion = confusion(4, &[(0, 0), (0, 1), (1, 0), (1, 0), (1, 1), (2, 0)]);
        let [first, second, third, absent] = confusion.classes() else { panic!() };
        assert_eq!((first.precision(), first.recall()), (Some(0.25), Some(0.5)));
        assert_eq!((second.precision(), second.recall()), (Some(0.5), Some(1.0 / 3.0)));
        assert_eq!(first.f1(), Some(1.0 / 3.0));
        assert_eq!((third.precision(), third.recall(), third.f1()), (None, Some(0.0), Some(0.0)));
        assert_eq!((absent.precision(), absent.recall(), absent.f1()), (None, None, None));

        let pairs = confusion.most_confused(5);
        assert_eq!(pairs.len(), 2);
        assert_eq!((pairs[0].first, pairs[0].second), (1, 0));
        assert_eq!(pairs[0].first_as_second, [2, 3]);
        assert_eq!(pairs[0].second_as_first, [1]);
        assert_eq!((pairs[1].first, pairs[1].second), (2, 0));
        assert_eq!(confusion.most_confused(1).len(), 1);
    }

    proptest! {
        #[test]
        fn every_image_is_counted_once(
            pairs in prop::collection::vec((0..6usize, 0..6usize), 0..200)
        ) {
            let confusion = confusion(6, &pairs);
            let sum = |count: fn(&ClassMeasure) -> usize| -> usize {
                confusion.classes().iter().map(count).sum()
            };
            prop_assert_eq!(sum(|class| class.num_images), pairs.len());
            prop_assert_eq!(sum(|class| class.num_predicted), pairs.len());
            let confused = confusion.most_confused(usize::MAX);
            let num_wrong: usize = confused.iter().map(ConfusedPair::num_mistakes).sum();
            prop_assert_eq!(sum(|class| class.num_correct) + num_wrong, pairs.len());
            prop_assert!(confused.is_sorted_by(|a, b| a.num_mistakes() >= b.num_mistakes()));
            for pair in &confused {
                prop_assert!(pair.first_as_second.len() >= pair.second_as_first.len());
                for &image in &pair.first_as_second {
                    prop_assert_eq!(pairs[image], (pair.first, pair.second));
                }
            }
            for class in confusion.classes() {
                for measure in [class.precision(), class.recall(), class.f1()] {
                    prop_assert!(measure.is_none_or(|value| (0.0..=1.0).contains(&value)));
                }
            }
        }
    }
}
