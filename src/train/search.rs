//! The choice of the learning rate and the L2 penalty by the validation loss.

use std::fmt;
use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

use super::checkpoint::{self, Checkpoint, State};
use super::fit::{Epoch, Fitted, Hyperparameters, fit_from, on_threads};
use crate::config;
use crate::error::{Error, Result};
use crate::features::FeatureMatrix;

/// What is tried. The constants' meaning and units are in [`config`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Search {
    /// [`config::L2_PENALTIES`]
    pub l2_penalties: Vec<f64>,
    /// [`config::LEARNING_RATES`]
    pub learning_rates: Vec<f64>,
    /// [`config::ABANDON_EPOCH`]
    pub abandon_epoch: usize,
    /// [`config::ABANDON_MARGIN`]
    pub abandon_margin: f64,
}

impl Default for Search {
    fn default() -> Self {
        Search {
            l2_penalties: config::L2_PENALTIES.to_vec(),
            learning_rates: config::LEARNING_RATES.to_vec(),
            abandon_epoch: config::ABANDON_EPOCH,
            abandon_margin: config::ABANDON_MARGIN,
        }
    }
}

/// A fit that was tried.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// As in [`Hyperparameters`].
    pub learning_rate: f64,
    /// As in [`Hyperparameters`].
    pub l2_penalty: f64,
    /// Epochs that were trained before it ended or was abandoned.
    pub num_epochs: usize,
    /// The lowest of its epochs; none when it diverged.
    pub valid_loss: Option<f64>,
}

/// The best fit.
#[derive(Debug)]
pub struct Found {
    /// What it was fitted with.
    pub hyperparameters: Hyperparameters,
    /// All that were tried, in that order.
    pub candidates: Vec<Candidate>,
    /// Its head.
    pub fitted: Fitted,
}

/// A search after its last whole epoch, to go on from.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Progress {
    candidates: Vec<Candidate>,
    best: Option<(Hyperparameters, Fitted)>,
    running: Option<State>,
}

/// Fits the head with `hyperparameters`, then with neighbours in the lists of the search for
/// as long as the validation loss falls, and returns the fit with the lowest. Each candidate is a whole
/// [`fit`](super::fit::fit), unless it is far behind the best one at the same epoch.
///
/// Goes on from `checkpoint` where it is of the same search, to the same bits. `on_epoch` sees each
/// epoch of each candidate once.
///
/// # Errors
/// As [`fit`](super::fit::fit), of the first candidate; another one that diverges is passed over.
#[expect(clippy::too_many_arguments, reason = "the data, the settings and the means of a fit")]
pub fn fit_best(
    train: &FeatureMatrix,
    valid: &FeatureMatrix,
    num_classes: usize,
    hyperparameters: &Hyperparameters,
    search: &Search,
    num_threads: usize,
    mut checkpoint: Option<&mut Checkpoint>,
    mut on_epoch: impl FnMut(&Epoch) -> Result<()> + Send,
) -> Result<Found> {
    on_threads(num_threads, || {
        let key = checkpoint::key(train, valid, num_classes, &(hyperparameters, search))?;
        let read = checkpoint.as_ref().and_then(|checkpoint| checkpoint.read(&key));
        let mut progress: Progress = read.unwrap_or_default();
        while let Some(candidate) = search.next(hyperparameters, &progress.candidates) {
            let resumed = progress.running.clone();
            let best_losses: Vec<f64> =
                progress.best.as_ref().map_or_else(Vec::new, |(_, best)| {
                    best.history.iter().map(|epoch| epoch.valid.loss).collect()
                });
            let mut num_epochs = 0;
            let each_epoch = |epoch: &Epoch| {
                on_epoch(epoch)?;
                num_epochs = epoch.epoch;
                let best = best_losses.get(epoch.epoch - 1);
                Ok(match best {
                    Some(&best) if search.is_behind(epoch, best) => ControlFlow::Break(()),
                    _ => ControlFlow::Continue(()),
                })
            };
            let keep = checkpoint.as_mut().map(|checkpoint| {
                |state: State| {
                    progress.running = Some(state);
                    checkpoint.offer(&key, &progress);
                }
            });
            let result = fit_from(resumed, train, valid, num_classes, &candidate, keep, each_epoch);
            let fitted = match result {
                Ok(fitted) => Some(fitted),
                Err(Error::Diverged { .. }) if progress.best.is_some() => None,
                Err(error) => {
                    if let (Error::Stopped(_), Some(checkpoint)) = (&error, &mut checkpoint) {
                        checkpoint.write(&key, &progress);
                    }
                    return Err(error);
                }
            };
            progress.running = None;
            progress.end(candidate, num_epochs, fitted);
        }
        let (hyperparameters, fitted) =
            progress.best.ok_or_else(|| Error::Internal("nothing was tried".into()))?;
        Ok(Found { hyperparameters, candidates: progress.candidates, fitted })
    })
}

impl Progress {
    /// A candidate has been trained, or diverged.
    fn end(&mut self, candidate: Hyperparameters, num_epochs: usize, fitted: Option<Fitted>) {
        let tried = Candidate {
            learning_rate: candidate.learning_rate,
            l2_penalty: candidate.l2_penalty,
            num_epochs: fitted.as_ref().map_or(num_epochs, |fitted| fitted.history.len()),
            valid_loss: fitted.as_ref().map(Fitted::valid_loss),
        };
        match tried.valid_loss {
            Some(loss) => log::info!("{tried}: valid loss {loss:.4}"),
            None => log::info!("{tried}: diverged"),
        }
        self.candidates.push(tried);
        let lowest = self.best.as_ref().map(|(_, best)| best.valid_loss());
        if let Some(fitted) = fitted
            && lowest.is_none_or(|lowest| fitted.valid_loss() < lowest)
        {
            self.best = Some((candidate, fitted));
        }
    }
}

impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Candidate { learning_rate, l2_penalty, num_epochs, .. } = self;
        write!(f, "learning rate {learning_rate}, L2 penalty {l2_penalty}, {num_epochs} epochs")
    }
}

impl Search {
    /// What to try after these: a neighbour of the best one, a stronger penalty first.
    fn next(&self, start: &Hyperparameters, tried: &[Candidate]) -> Option<Hyperparameters> {
        let loss = |candidate: &Candidate| candidate.valid_loss.unwrap_or(f64::INFINITY);
        let Some(best) = tried.iter().min_by(|a, b| loss(a).total_cmp(&loss(b))) else {
            return Some(start.clone());
        };
        let penalties = neighbours(&self.l2_penalties, best.l2_penalty);
        let rates = neighbours(&self.learning_rates, best.learning_rate);
        let of_penalty = penalties.map(|penalty| (best.learning_rate, penalty));
        let mut pairs = of_penalty.chain(rates.map(|rate| (rate, best.l2_penalty)));
        let (learning_rate, l2_penalty) = pairs.find(|&pair| {
            !tried.iter().any(|candidate| (candidate.learning_rate, candidate.l2_penalty) == pair)
        })?;
        Some(Hyperparameters { learning_rate, l2_penalty, ..start.clone() })
    }

    fn is_behind(&self, epoch: &Epoch, best: f64) -> bool {
        epoch.epoch >= self.abandon_epoch && epoch.valid.loss > best * (1.0 + self.abandon_margin)
    }
}

/// The next greater and the next smaller of `values`.
fn neighbours(values: &[f64], value: f64) -> impl Iterator<Item = f64> {
    let greater = values.iter().copied().filter(|&other| other > value).min_by(f64::total_cmp);
    let smaller = values.iter().copied().filter(|&other| other < value).max_by(f64::total_cmp);
    greater.into_iter().chain(smaller)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_search_climbs_to_the_best_of_the_grid_and_tries_nothing_twice() {
        let search = Search::default();
        let start = Hyperparameters::default();
        for goal in [1e-5f64, 1e-4, 1e-3, 1e-2, 1e-1] {
            let mut tried: Vec<Candidate> = Vec::new();
            while let Some(next) = search.next(&start, &tried) {
                let distance = (next.l2_penalty / goal).ln().abs();
                let rate = (next.learning_rate / 1e-2).ln().abs();
                tried.push(Candidate {
                    learning_rate: next.learning_rate,
                    l2_penalty: next.l2_penalty,
                    num_epochs: 1,
                    valid_loss: (next.learning_rate < 5e-2).then_some(1.0 + distance + rate),
                });
            }
            assert!(tried.iter().any(|candidate| candidate.valid_loss == Some(1.0)), "{tried:?}");
            let pairs = |c: &Candidate| (c.learning_rate.to_bits(), c.l2_penalty.to_bits());
            let distinct: std::collections::HashSet<_> = tried.iter().map(pairs).collect();
            assert_eq!(distinct.len(), tried.len());
        }
    }

    #[test]
    fn a_candidate_that_diverged_is_not_the_best() {
        let tried = |l2_penalty, valid_loss| Candidate {
            learning_rate: 3e-3,
            l2_penalty,
            num_epochs: 1,
            valid_loss,
        };
        let search = Search { learning_rates: vec![], ..Search::default() };
        let candidates = [tried(1e-3, Some(2.0)), tried(3e-3, None)];
        let next = search.next(&Hyperparameters::default(), &candidates).unwrap();
        assert_eq!(next.l2_penalty, 3e-4);
    }
}
