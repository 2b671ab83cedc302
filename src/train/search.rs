//! The choice of the L2 penalty on the validation split.
//!
//! The objective is convex: for each penalty there is one optimum, to which L-BFGS goes on from where
//! the epochs ended, or from the optimum for the penalty before.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::fit::{Fitted, Hyperparameters, on_threads};
use super::lbfgs::Lbfgs;
use super::objective::Objective;
use super::row_space::RowSpace;
use super::scaling::Scaling;
use super::temperature;
use super::vector::Vector;
use crate::error::Result;
use crate::evaluate::evaluate;
use crate::features::FeatureMatrix;
use crate::model::head::Head;

/// Images of valid below which the penalty is not chosen: their loss is mostly chance.
const MIN_VALID: usize = 20;
/// The next penalty is tried as long as the validation loss falls by this part of it.
const MIN_GAIN: f64 = 1e-3;
/// An optimum is near enough to compare penalties when a step lowers the objective by less than this part
/// of it.
const TOLERANCE: f64 = 5e-4;
/// The same for the penalty that is chosen.
const FINE_TOLERANCE: f64 = 3e-5;

/// A penalty that was tried.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// As [`config::L2_PENALTY`](crate::config::L2_PENALTY).
    pub l2_penalty: f64,
    /// At its optimum, in nats.
    pub valid_loss: f64,
    /// Passes over the train split.
    pub num_passes: usize,
}

/// How the penalty was chosen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Search {
    /// Of the head that was kept; `None` when that is the best epoch's.
    pub chosen: Option<f64>,
    /// In the order in which they were tried.
    pub candidates: Vec<Candidate>,
}

/// Tries the optima for some of `penalties`, from that of the epochs on to greater or to smaller ones, as
/// long as the validation loss falls; goes on further to the best of them. Puts the head with the lowest
/// validation loss into `fitted`, if that is lower than the best epoch's. `None` when there is nothing to
/// choose from, or too few images to choose on.
///
/// The result does not depend on `num_threads`.
///
/// # Errors
/// [`Error::Stopped`](crate::error::Error::Stopped); those of the scaling.
pub fn choose_penalty(
    fitted: &mut Fitted,
    train: &FeatureMatrix,
    valid: &FeatureMatrix,
    hyperparameters: &Hyperparameters,
    penalties: &[f64],
    num_threads: usize,
) -> Result<Option<Search>> {
    if penalties.is_empty() {
        return Ok(None);
    }
    if valid.targets.len() < MIN_VALID {
        log::warn!(
            "valid has {} images, fewer than {MIN_VALID}: too few to choose the L2 penalty on",
            valid.targets.len()
        );
        return Ok(None);
    }
    on_threads(num_threads, || {
        let scaling = Scaling::of(train)?;
        let space = Space::of(train, &scaling);
        let mut climb = Climb::new(fitted, valid, &space, hyperparameters.l2_penalty);
        let first = climb.visit(hyperparameters.l2_penalty, TOLERANCE)?;
        let origin = climb.descent.at.clone();
        let (greater, smaller) = around(penalties, hyperparameters.l2_penalty);
        // A greater penalty makes a head less sure of itself.
        let [likely, other] =
            if climb.is_too_sure() { [greater, smaller] } else { [smaller, greater] };
        if climb.go(&likely, first)? >= first {
            climb.descent.at = origin;
            climb.go(&other, first)?;
        }
        if let Some(Best { l2_penalty, at, .. }) = &climb.best {
            let (l2_penalty, at) = (*l2_penalty, at.clone());
            climb.descent.at = at;
            climb.visit(l2_penalty, FINE_TOLERANCE)?;
        }
        let mut search = Search { chosen: None, candidates: climb.candidates };
        if let Some(best) = climb.best
            && best.valid_loss < fitted.valid_loss
        {
            search.chosen = Some(best.l2_penalty);
            (fitted.head, fitted.valid_loss) = (best.head, best.valid_loss);
        }
        Ok(Some(search))
    })
}

/// What the descent goes through: the scaled features, or the space of the train images.
struct Space<'a> {
    train: &'a FeatureMatrix,
    scaling: &'a Scaling,
    rows: Option<(RowSpace, Scaling)>,
}

impl<'a> Space<'a> {
    fn of(train: &'a FeatureMatrix, scaling: &'a Scaling) -> Self {
        let rows = RowSpace::of(train, scaling).map(|rows| {
            let identity = Scaling::identity(rows.coordinates().num_features);
            (rows, identity)
        });
        Space { train, scaling, rows }
    }

    /// What is minimized.
    fn objective(&self, num_classes: usize) -> Objective<'_> {
        match &self.rows {
            Some((rows, identity)) => {
                Objective::new(rows.coordinates(), identity, num_classes).triangular()
            }
            None => Objective::new(self.train, self.scaling, num_classes),
        }
    }

    /// The point of a head.
    fn point(&self, head: &Head) -> Vector {
        let head = self.scaling.unfold(head);
        match &self.rows {
            Some((rows, _)) => Vector::of(&rows.project(&head)),
            None => Vector::of(&head),
        }
    }

    /// The head at a point, on plain features.
    fn head(&self, at: &Vector) -> Head {
        let head = match &self.rows {
            Some((rows, _)) => rows.lift(&at.head(rows.coordinates().num_features)),
            None => at.head(self.train.num_features),
        };
        self.scaling.fold_into(&head)
    }
}

struct Climb<'a> {
    descent: Lbfgs<'a>,
    space: &'a Space<'a>,
    valid: &'a FeatureMatrix,
    candidates: Vec<Candidate>,
    /// With the lowest validation loss.
    best: Option<Best>,
}

struct Best {
    l2_penalty: f64,
    valid_loss: f64,
    head: Head,
    at: Vector,
}

impl<'a> Climb<'a> {
    fn new(
        fitted: &Fitted,
        valid: &'a FeatureMatrix,
        space: &'a Space<'a>,
        l2_penalty: f64,
    ) -> Self {
        let objective = space.objective(fitted.head.num_classes());
        Climb {
            descent: Lbfgs::new(objective, l2_penalty, space.point(&fitted.head)),
            space,
            valid,
            candidates: Vec::new(),
            best: None,
        }
    }

    /// Goes through `penalties` as long as the validation loss falls below `lowest`, which is
    /// returned.
    fn go(&mut self, penalties: &[f64], mut lowest: f64) -> Result<f64> {
        for &penalty in penalties {
            let before = lowest;
            lowest = lowest.min(self.visit(penalty, TOLERANCE)?);
            if lowest > before * (1.0 - MIN_GAIN) {
                break;
            }
        }
        Ok(lowest)
    }

    /// Whether the best head's probabilities on valid are too near to 0 and 1.
    fn is_too_sure(&self) -> bool {
        let best = self.best.as_ref();
        best.and_then(|best| temperature::fit(&best.head, self.valid)).is_some_and(|it| it > 1.0)
    }

    /// The validation loss of the optimum for a penalty.
    fn visit(&mut self, l2_penalty: f64, tolerance: f64) -> Result<f64> {
        let before = self.descent.num_passes;
        self.descent.change_penalty(l2_penalty);
        self.descent.minimize(tolerance)?;
        let head = self.space.head(&self.descent.at);
        let valid_loss = evaluate(&head, self.valid).loss;
        let num_passes = self.descent.num_passes - before;
        self.candidates.push(Candidate { l2_penalty, valid_loss, num_passes });
        if self.best.as_ref().is_none_or(|best| valid_loss < best.valid_loss) {
            let at = self.descent.at.clone();
            self.best = Some(Best { l2_penalty, valid_loss, head, at });
        }
        Ok(valid_loss)
    }
}

/// The greater of `penalties`, upwards, and the smaller ones, downwards.
fn around(penalties: &[f64], middle: f64) -> (Vec<f64>, Vec<f64>) {
    let mut greater: Vec<f64> = penalties.iter().copied().filter(|&it| it > middle).collect();
    let mut smaller: Vec<f64> = penalties.iter().copied().filter(|&it| it < middle).collect();
    greater.sort_by(f64::total_cmp);
    smaller.sort_by(|a, b| b.total_cmp(a));
    (greater, smaller)
}

impl fmt::Display for Search {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.chosen {
            Some(penalty) => write!(f, "L2 penalty {penalty} chosen on valid")?,
            None => write!(f, "no L2 penalty better on valid than the best epoch")?,
        }
        f.write_str("; loss there:")?;
        for (index, Candidate { l2_penalty, valid_loss, .. }) in self.candidates.iter().enumerate()
        {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma} {l2_penalty}: {valid_loss:.4}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn penalties_are_tried_away_from_the_middle() {
        let (greater, smaller) = around(&[1.0, 0.1, 10.0, 100.0, 0.01], 1.0);
        assert_eq!(greater, [10.0, 100.0]);
        assert_eq!(smaller, [0.1, 0.01]);
        assert_eq!(around(&[0.1, 10.0], 1.0), (vec![10.0], vec![0.1]));
    }

    #[test]
    fn the_optimum_is_the_same_in_the_space_of_the_images() {
        let (num_images, num_features, num_classes) = (60, 150, 4);
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let mut train = FeatureMatrix::new(num_features);
        for index in 0..num_images {
            let row: Vec<f32> = (0..num_features)
                .map(|feature| {
                    rng.random_range(0.0..2.0)
                        + f32::from(feature % num_classes == index % num_classes)
                })
                .collect();
            train.push(&row, index % num_classes);
        }
        let scaling = Scaling::of(&train).unwrap();
        let rows = Space::of(&train, &scaling);
        assert!(rows.rows.is_some());
        let features = Space { train: &train, scaling: &scaling, rows: None };
        let weight = (0..num_classes * num_features).map(|_| rng.random_range(-0.1..0.1)).collect();
        let start = Head { weight, bias: vec![0.0; num_classes] };
        let [found, expected] = [rows, features].map(|space| {
            let mut descent = Lbfgs::new(space.objective(num_classes), 0.0, space.point(&start));
            for _ in 0..5 {
                descent.change_penalty(1e-2);
                descent.minimize(1e-9).unwrap();
            }
            space.head(&descent.at)
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
