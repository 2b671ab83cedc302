//! The choice of the L2 penalty on the validation split.
//!
//! The objective is convex: for each penalty there is one optimum, to which L-BFGS goes on from where
//! the epochs ended, or from the optimum for the penalty before. The head is the mean of the best points
//! on all these ways.

use std::fmt;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::best_points::{BestPoints, Point};
use super::fit::{Fitted, Hyperparameters, on_threads};
use super::lbfgs::{Lbfgs, StoppingCriterion};
use super::objective::Objective;
use super::scaling::Scaling;
use super::space::Space;
use super::stacking;
use super::temperature;
use crate::error::Result;
use crate::evaluate::evaluate;
use crate::features::SplitFeatures;
use crate::metrics::Metrics;
use crate::run::heap;

/// Images of valid below which the penalty is not chosen: their loss is mostly chance.
const MIN_VALID: usize = 20;
/// The next penalty is tried as long as the validation loss falls by this part of it.
const MIN_GAIN: f64 = 1e-3;
/// A descent is given up where the validation loss is so many times the lowest on all ways so far.
const GIVEN_UP: f64 = 1.5;
/// How near to an optimum penalties are compared.
const NEAR: StoppingCriterion = StoppingCriterion { tolerance: 5e-4, max_steps: 30 };
/// The same for the best penalty.
const NEARER: StoppingCriterion = StoppingCriterion { tolerance: 1e-5, max_steps: 40 };

/// A penalty that was tried.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// As [`config::L2_PENALTY`](crate::config::L2_PENALTY).
    pub l2_penalty: f64,
    /// At its optimum, in nats; where the way to it was given up, there.
    pub valid_loss: f64,
    /// Whether it was given up.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub given_up: bool,
    /// Passes over the train split.
    pub num_passes: usize,
}

/// How the penalty was chosen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Search {
    /// The one under which the best point was found; `None` when the head is the best epoch's.
    pub chosen: Option<f64>,
    /// Points whose mean the head is.
    #[serde(default)]
    pub num_averaged: usize,
    /// In the order in which they were tried.
    pub candidates: Vec<Candidate>,
}

/// Tries the optima for some of `penalties`, from that of the epochs on to greater or to smaller ones, as
/// long as the validation loss falls; goes on further to the best of them, then to one between the best
/// two. Puts the mean of the points with the lowest validation losses on the way into `fitted`, if its loss
/// is lower than the best epoch's. `None` when there is nothing to choose from, or too few images to choose on.
///
/// The result does not depend on `num_threads`.
///
/// # Errors
/// [`Error::Stopped`](crate::error::Error::Stopped); those of the scaling; when features cannot be read.
pub fn choose_penalty(
    fitted: &mut Fitted,
    train: SplitFeatures,
    valid: SplitFeatures,
    hyperparameters: &Hyperparameters,
    penalties: &[f64],
    num_threads: usize,
) -> Result<(Option<Search>, Metrics)> {
    if penalties.is_empty() {
        return Ok((None, evaluate(&fitted.head, &train)?));
    }
    if valid.targets().len() < MIN_VALID {
        log::warn!(
            "valid has {} images, fewer than {MIN_VALID}: too few to choose the L2 penalty on",
            valid.targets().len()
        );
        return Ok((None, evaluate(&fitted.head, &train)?));
    }
    on_threads(num_threads, || {
        let scaling = Scaling::of(&train)?;
        let valid_targets = valid.targets().to_vec();
        let space = Space::of(train, valid, &scaling)?;
        let num_classes = fitted.head.num_classes();
        let num_logits = valid_targets.len() * num_classes;
        let mut climb = Climb::new(fitted, &space, hyperparameters.l2_penalty, num_logits);
        let first = climb.visit(hyperparameters.l2_penalty, NEAR)?;
        let origin = climb.descent.at().clone();
        let (greater, smaller) = around(penalties, hyperparameters.l2_penalty);
        // A greater penalty makes a head less sure of itself.
        let [likely, other] = if climb.is_too_sure(&valid_targets)? {
            [greater, smaller]
        } else {
            [smaller, greater]
        };
        if climb.go(&likely, first)? >= first {
            climb.descent.go_to(origin);
            climb.go(&other, first)?;
        }
        if let Some(Point { l2_penalty, at, .. }) = climb.best_optimum.take() {
            let between = between_best(&climb.candidates);
            climb.descent.go_to(at);
            climb.visit(l2_penalty, NEARER)?;
            if let Some(between) = between {
                climb.visit(between, NEAR)?;
            }
        }
        let Climb { descent, mut valid, candidates, best_points, .. } = climb;
        drop(descent);
        let mean = best_points.mean(|weights, points| {
            if valid_targets.len() >= stacking::MIN_IMAGES {
                // The logits of all points take the place of the descent.
                heap::trim();
                let logits = points.par_iter().map(|at| valid.logits(at));
                let logits: Vec<_> = logits.collect::<Result<_>>()?;
                stacking::lower_loss(weights, &logits, &valid_targets);
            }
            Ok(())
        })?;
        let mut search = Search { chosen: None, num_averaged: 0, candidates };
        let mut chosen = None;
        if let Some((l2_penalty, at, num_points)) = mean {
            let valid_loss = valid.loss(&at)?;
            if valid_loss < fitted.valid_loss {
                (search.chosen, search.num_averaged) = (Some(l2_penalty), num_points);
                (fitted.head, fitted.valid_loss) = (space.head(&at), valid_loss);
                chosen = Some(at);
            }
        }
        let at = chosen.unwrap_or_else(|| space.point(&fitted.head));
        Ok((Some(search), space.train_objective(num_classes).measure(&at)?))
    })
}

struct Climb<'a> {
    descent: Lbfgs<'a>,
    valid: Objective<'a>,
    candidates: Vec<Candidate>,
    /// Of the optima, that with the lowest validation loss.
    best_optimum: Option<Point>,
    /// Of all points on the way.
    best_points: BestPoints,
}

impl<'a> Climb<'a> {
    /// `num_logits` are those of a point on valid.
    fn new(fitted: &Fitted, space: &'a Space<'a>, l2_penalty: f64, num_logits: usize) -> Self {
        let num_classes = fitted.head.num_classes();
        let start = space.point(&fitted.head);
        let best_points = BestPoints::new(start.len().max(num_logits));
        Climb {
            descent: Lbfgs::new(space.train_objective(num_classes), l2_penalty, start),
            valid: space.valid_objective(num_classes),
            candidates: Vec::new(),
            best_optimum: None,
            best_points,
        }
    }

    /// Goes through `penalties` as long as the validation loss falls below `lowest`, which is
    /// returned.
    fn go(&mut self, penalties: &[f64], mut lowest: f64) -> Result<f64> {
        for &penalty in penalties {
            let before = lowest;
            lowest = lowest.min(self.visit(penalty, NEAR)?);
            if lowest > before * (1.0 - MIN_GAIN) {
                break;
            }
        }
        Ok(lowest)
    }

    /// Whether the probabilities of the best optimum on valid, of these targets, are too near to 0 and 1. Those of
    /// one that was given up are: the loss has risen there while that on train has fallen.
    fn is_too_sure(&self, targets: &[usize]) -> Result<bool> {
        let Some(best) = &self.best_optimum else { return Ok(true) };
        Ok(temperature::is_above_1(&self.valid.logits(&best.at)?, targets))
    }

    /// The validation loss of the optimum for a penalty. Infinite where the way to it was given up; the best
    /// point on all ways is then returned to.
    fn visit(&mut self, l2_penalty: f64, criterion: StoppingCriterion) -> Result<f64> {
        let Climb { descent, valid, candidates, best_optimum, best_points, .. } = self;
        let before = descent.num_passes;
        descent.change_penalty(l2_penalty)?;
        let (mut reached, mut given_up) = (None, false);
        descent.minimize(criterion, |at| {
            let loss = valid.loss(at)?;
            best_points.offer(l2_penalty, loss, at);
            reached = Some(loss);
            given_up = best_points.best().is_some_and(|best| loss > GIVEN_UP * best.valid_loss);
            Ok(!given_up)
        })?;
        let valid_loss = match reached {
            Some(loss) => loss,
            None => valid.loss(descent.at())?,
        };
        let num_passes = descent.num_passes - before;
        candidates.push(Candidate { l2_penalty, valid_loss, given_up, num_passes });
        if given_up {
            if let Some(best) = best_points.best() {
                descent.go_to(best.at.clone());
            }
            return Ok(f64::INFINITY);
        }
        if best_optimum.as_ref().is_none_or(|best| valid_loss < best.valid_loss) {
            *best_optimum = Some(Point { l2_penalty, valid_loss, at: descent.at().clone() });
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

/// The geometric mean of the two penalties with the lowest validation losses, in two digits.
fn between_best(candidates: &[Candidate]) -> Option<f64> {
    let mut ordered: Vec<_> = candidates.iter().filter(|it| !it.given_up).collect();
    ordered.sort_by(|a, b| a.valid_loss.total_cmp(&b.valid_loss));
    let [best, second, ..] = ordered[..] else { return None };
    format!("{:.1e}", (best.l2_penalty * second.l2_penalty).sqrt()).parse().ok()
}

impl fmt::Display for Search {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.chosen {
            Some(penalty) => write!(
                f,
                "the mean of {} heads is the best on valid, the best of them with L2 penalty {penalty}",
                self.num_averaged
            )?,
            None => f.write_str("no L2 penalty gives a better head on valid than the epochs")?,
        }
        f.write_str("; loss of the optima there:")?;
        for (index, candidate) in self.candidates.iter().enumerate() {
            let Candidate { l2_penalty, valid_loss, given_up, .. } = candidate;
            let comma = if index == 0 { "" } else { "," };
            let note = if *given_up { " (given up)" } else { "" };
            write!(f, "{comma} {l2_penalty}: {valid_loss:.4}{note}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn penalties_are_tried_away_from_the_middle() {
        let (greater, smaller) = around(&[1.0, 0.1, 10.0, 100.0, 0.01], 1.0);
        assert_eq!(greater, [10.0, 100.0]);
        assert_eq!(smaller, [0.1, 0.01]);
        assert_eq!(around(&[0.1, 10.0], 1.0), (vec![10.0], vec![0.1]));
    }

    #[test]
    fn the_last_penalty_lies_between_the_best_two() {
        let candidate = |(l2_penalty, valid_loss)| Candidate {
            l2_penalty,
            valid_loss,
            given_up: false,
            num_passes: 1,
        };
        let mut candidates = [(1e-3, 0.5), (3e-4, 0.3), (1e-4, 0.4)].map(candidate);
        assert_eq!(between_best(&candidates), Some(1.7e-4));
        assert_eq!(between_best(&candidates[..1]), None);
        candidates[2].given_up = true;
        assert_eq!(between_best(&candidates), Some(5.5e-4));
    }
}
