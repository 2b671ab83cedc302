//! What the descent to an optimum goes through: the scaled features, or the directions that the train
//! images span.

use super::objective::Objective;
use super::pass_features::{Pass, PassFeatures};
use super::row_space::RowSpace;
use super::scaling::Scaling;
use super::vector::Vector;
use crate::error::Result;
use crate::features::SplitFeatures;
use crate::model::head::Head;

/// Points stand for heads on plain features.
pub(super) struct Space<'a> {
    scaling: &'a Scaling,
    num_features: usize,
    /// Scaled features, or coordinates.
    train: PassFeatures,
    valid: PassFeatures,
    /// Where the images are few.
    rows: Option<RowSpace>,
}

impl<'a> Space<'a> {
    /// `scaling` is that of `train`.
    ///
    /// # Errors
    /// When features cannot be read, or those of a large split not be written to the disk in another order.
    pub(super) fn of(
        train: SplitFeatures,
        valid: SplitFeatures,
        scaling: &'a Scaling,
    ) -> Result<Self> {
        let num_features = train.num_features();
        let Some(rows) = RowSpace::of(&train, scaling)? else {
            return Space::of_features(train, valid, scaling);
        };
        let valid = rows.coordinates_of(&valid, scaling)?;
        let train = PassFeatures::new(rows.coordinates().clone().into(), None, Pass::Triangle)?;
        let valid = PassFeatures::new(valid.into(), None, Pass::Loss)?;
        Ok(Space { scaling, num_features, train, valid, rows: Some(rows) })
    }

    /// Of all directions.
    fn of_features(
        train: SplitFeatures,
        valid: SplitFeatures,
        scaling: &'a Scaling,
    ) -> Result<Self> {
        let num_features = train.num_features();
        let train = PassFeatures::new(train, Some(scaling), Pass::Whole)?;
        let valid = PassFeatures::new(valid, Some(scaling), Pass::Loss)?;
        Ok(Space { scaling, num_features, train, valid, rows: None })
    }

    /// What is minimized.
    pub(super) fn train_objective(&self, num_classes: usize) -> Objective<'_> {
        Objective::new(&self.train, num_classes)
    }

    /// What tells which point is best.
    pub(super) fn valid_objective(&self, num_classes: usize) -> Objective<'_> {
        Objective::new(&self.valid, num_classes)
    }

    /// The point of a head.
    pub(super) fn point(&self, head: &Head) -> Vector {
        let head = self.scaling.unfold(head);
        match &self.rows {
            Some(rows) => Vector::of(&rows.project(&head)),
            None => Vector::of(&head),
        }
    }

    /// The head at a point.
    pub(super) fn head(&self, at: &Vector) -> Head {
        let head = match &self.rows {
            Some(rows) => rows.lift(&at.head(rows.coordinates().num_features)),
            None => at.head(self.num_features),
        };
        self.scaling.fold_into(&head)
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::evaluate::evaluate;
    use crate::features::FeatureMatrix;
    use crate::train::lbfgs::{Lbfgs, StoppingCriterion};

    #[test]
    fn the_optimum_is_the_same_in_the_space_of_the_images() {
        let (num_images, num_features, num_classes) = (60, 150, 4);
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let mut images = |num_images| {
            let mut split = FeatureMatrix::new(num_features);
            for target in (0..num_classes).cycle().take(num_images) {
                let feature = |index| f32::from(index % num_classes == target);
                let row: Vec<f32> = (0..num_features)
                    .map(|index| rng.random_range(0.0..2.0) + feature(index))
                    .collect();
                split.push(&row, target);
            }
            SplitFeatures::from(split)
        };
        let (train, valid) = (images(num_images), images(30));
        let scaling = Scaling::of(&train).unwrap();
        let few = Space::of(train.clone(), valid.clone(), &scaling).unwrap();
        assert!(few.rows.is_some());
        let many = Space::of_features(train, valid.clone(), &scaling).unwrap();
        let weight = (0..num_classes * num_features).map(|_| rng.random_range(-0.1..0.1)).collect();
        let start = Head { weight, bias: vec![0.0; num_classes] };
        let [found, expected] = [few, many].map(|space| {
            let mut descent =
                Lbfgs::new(space.train_objective(num_classes), 0.0, space.point(&start));
            let criterion = StoppingCriterion { tolerance: 1e-9, max_steps: 40 };
            for _ in 0..5 {
                descent.change_penalty(1e-2).unwrap();
                descent.minimize(criterion, |_| Ok(true)).unwrap();
            }
            let head = space.head(descent.at());
            let loss = space.valid_objective(num_classes).loss(descent.at()).unwrap();
            let of_head = evaluate(&head, &valid).unwrap().loss;
            // Tiles take features in bf16.
            assert!((loss - of_head).abs() < 2e-3 * of_head, "{loss} {of_head}");
            head
        });
        let largest = expected.weight.iter().copied().map(f32::abs).fold(0.0, f32::max);
        let pairs = found.weight.iter().zip(&expected.weight);
        let distance = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(distance < 1e-2 * largest, "{distance} where the largest weight is {largest}");
        for (found, expected) in found.bias.iter().zip(&expected.bias) {
            assert!((found - expected).abs() < 1e-2 * (1.0 + expected.abs()));
        }
    }
}
