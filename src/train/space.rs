//! What the descent to an optimum goes through: the scaled features, or the directions that the train
//! images span.

use super::objective::Objective;
use super::row_space::RowSpace;
use super::scaling::Scaling;
use super::vector::Vector;
use crate::features::FeatureMatrix;
use crate::model::head::Head;

/// Points stand for heads on plain features.
pub(super) struct Space<'a> {
    train: &'a FeatureMatrix,
    valid: &'a FeatureMatrix,
    scaling: &'a Scaling,
    /// Where the images are few.
    spanned: Option<Spanned>,
}

struct Spanned {
    rows: RowSpace,
    /// Coordinates of the images of valid.
    valid: FeatureMatrix,
}

impl<'a> Space<'a> {
    /// `scaling` is that of `train`.
    pub(super) fn of(
        train: &'a FeatureMatrix,
        valid: &'a FeatureMatrix,
        scaling: &'a Scaling,
    ) -> Self {
        let spanned = RowSpace::of(train, scaling)
            .map(|rows| Spanned { valid: rows.coordinates_of(valid, scaling), rows });
        Space { train, valid, scaling, spanned }
    }

    /// What is minimized.
    pub(super) fn train_objective(&self, num_classes: usize) -> Objective<'_> {
        match &self.spanned {
            // Coordinates are not scaled again.
            Some(Spanned { rows, .. }) => {
                Objective::new(rows.coordinates(), None, num_classes).triangular()
            }
            None => Objective::new(self.train, Some(self.scaling), num_classes),
        }
    }

    /// What tells which point is best.
    pub(super) fn valid_objective(&self, num_classes: usize) -> Objective<'_> {
        match &self.spanned {
            Some(Spanned { valid, .. }) => Objective::new(valid, None, num_classes).of_loss(),
            None => Objective::new(self.valid, Some(self.scaling), num_classes).of_loss(),
        }
    }

    /// The point of a head.
    pub(super) fn point(&self, head: &Head) -> Vector {
        let head = self.scaling.unfold(head);
        match &self.spanned {
            Some(Spanned { rows, .. }) => Vector::of(&rows.project(&head)),
            None => Vector::of(&head),
        }
    }

    /// The head at a point.
    pub(super) fn head(&self, at: &Vector) -> Head {
        let head = match &self.spanned {
            Some(Spanned { rows, .. }) => rows.lift(&at.head(rows.coordinates().num_features)),
            None => at.head(self.train.num_features),
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
    use crate::train::lbfgs::Lbfgs;

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
            split
        };
        let (train, valid) = (images(num_images), images(30));
        let scaling = Scaling::of(&train).unwrap();
        let few = Space::of(&train, &valid, &scaling);
        assert!(few.spanned.is_some());
        let many = Space { spanned: None, ..Space::of(&train, &valid, &scaling) };
        let weight = (0..num_classes * num_features).map(|_| rng.random_range(-0.1..0.1)).collect();
        let start = Head { weight, bias: vec![0.0; num_classes] };
        let [found, expected] = [few, many].map(|space| {
            let mut descent =
                Lbfgs::new(space.train_objective(num_classes), 0.0, space.point(&start));
            for _ in 0..5 {
                descent.change_penalty(1e-2);
                descent.minimize(1e-9, |_| ()).unwrap();
            }
            let head = space.head(descent.at());
            let loss = space.valid_objective(num_classes).loss(descent.at());
            let of_head = evaluate(&head, &valid).loss;
            assert!((loss - of_head).abs() < 1e-4 * of_head, "{loss} {of_head}");
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
