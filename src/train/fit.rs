//! The epoch loop: mini-batches through the head.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::checkpoint::{self, Checkpoint, State};
use super::optimizer::{Adam, Snapshot};
use super::scaling::Scaling;
use super::schedule;
use crate::config::{self, TrainFrom};
use crate::error::{Error, Result};
use crate::features::SplitFeatures;
use crate::metrics::{Accumulator, Metrics};
use crate::model::head::Head;
use crate::run::signals;

/// What the fit can be told. The constants' meaning and units are in [`config`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hyperparameters {
    /// [`config::SEED`]
    pub seed: u64,
    /// [`config::BATCH_SIZE`]
    pub batch_size: usize,
    /// [`config::MAX_EPOCHS`]
    pub max_epochs: usize,
    /// [`config::PATIENCE`]
    pub patience: usize,
    /// [`config::LEARNING_RATE`]
    pub learning_rate: f64,
    /// [`config::L2_PENALTY`]
    pub l2_penalty: f64,
    /// [`config::TRAIN_FROM`]
    #[serde(default)]
    pub train_from: TrainFrom,
    /// What holds for `layer4`, if it is trained.
    #[serde(default)]
    pub layer4: Layer4Hyperparameters,
}

/// What fine-tuning can be told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Layer4Hyperparameters {
    /// [`config::LAYER4_BATCH_SIZE`]
    pub batch_size: usize,
    /// [`config::LAYER4_MAX_EPOCHS`]
    pub max_epochs: usize,
    /// [`config::LAYER4_PATIENCE`]
    pub patience: usize,
    /// [`config::LAYER4_LEARNING_RATE`]
    pub learning_rate: f64,
    /// [`config::LAYER4_HEAD_LEARNING_RATE`]
    pub head_learning_rate: f64,
    /// [`config::LAYER4_MOMENTUM`]
    pub momentum: f64,
    /// [`config::LAYER4_WEIGHT_DECAY`]
    pub weight_decay: f64,
}

impl Default for Layer4Hyperparameters {
    fn default() -> Self {
        Layer4Hyperparameters {
            batch_size: config::LAYER4_BATCH_SIZE,
            max_epochs: config::LAYER4_MAX_EPOCHS,
            patience: config::LAYER4_PATIENCE,
            learning_rate: config::LAYER4_LEARNING_RATE,
            head_learning_rate: config::LAYER4_HEAD_LEARNING_RATE,
            momentum: config::LAYER4_MOMENTUM,
            weight_decay: config::LAYER4_WEIGHT_DECAY,
        }
    }
}

impl Default for Hyperparameters {
    fn default() -> Self {
        Hyperparameters {
            seed: config::SEED,
            batch_size: config::BATCH_SIZE,
            max_epochs: config::MAX_EPOCHS,
            patience: config::PATIENCE,
            learning_rate: config::LEARNING_RATE,
            l2_penalty: config::L2_PENALTY,
            train_from: config::TRAIN_FROM,
            layer4: Layer4Hyperparameters::default(),
        }
    }
}

/// One pass over the train split.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// From 1.
    pub epoch: usize,
    /// At the epoch's last step.
    pub learning_rate: f64,
    /// Averaged over the epoch's mini-batches, each before its step.
    pub train: Metrics,
    /// After the epoch.
    pub valid: Metrics,
}

/// The head of the best epoch.
#[derive(Debug)]
pub struct Fitted {
    /// On plain features: centring and scaling are folded into it.
    pub head: Head,
    /// Of the head, in nats.
    pub valid_loss: f64,
    /// The epoch with the lowest validation loss, from 1.
    pub best_epoch: usize,
    /// All epochs.
    pub history: Vec<Epoch>,
}

/// Fits a head of `num_classes` outputs on `train` with Adam, and returns it as
/// it was after the epoch with the lowest validation loss. `on_epoch` sees each epoch as it ends.
///
/// The result does not depend on `num_threads`, nor on where the features are. They are read a mini-batch at a
/// time.
///
/// # Errors
/// [`Error::Diverged`] when the loss turns NaN or never leaves chance, which is
/// `ln(num_classes)`; [`Error::Stopped`]; when features cannot be read.
pub fn fit(
    train: &SplitFeatures,
    valid: &SplitFeatures,
    num_classes: usize,
    hyperparameters: &Hyperparameters,
    num_threads: usize,
    on_epoch: impl FnMut(&Epoch) -> Result<()> + Send,
) -> Result<Fitted> {
    on_threads(num_threads, || fit_here(train, valid, num_classes, hyperparameters, None, on_epoch))
}

/// The same with a `checkpoint`: goes on from it where it is of the same fit, and keeps it up to
/// date. The result has the same bits, however often the fit was stopped. `on_epoch` does not see
/// again the epochs of before.
///
/// # Errors
/// As [`fit`].
pub fn fit_with_checkpoint(
    train: &SplitFeatures,
    valid: &SplitFeatures,
    num_classes: usize,
    hyperparameters: &Hyperparameters,
    num_threads: usize,
    checkpoint: &mut Checkpoint,
    on_epoch: impl FnMut(&Epoch) -> Result<()> + Send,
) -> Result<Fitted> {
    on_threads(num_threads, || {
        let key = checkpoint::key(train, valid, num_classes, hyperparameters)?;
        let mut kept = Kept { resumed: checkpoint.read(&key), checkpoint, key, last: None };
        let result =
            fit_here(train, valid, num_classes, hyperparameters, Some(&mut kept), on_epoch);
        if let (Err(Error::Stopped(_)), Some(last)) = (&result, &kept.last) {
            kept.checkpoint.write(&key, last);
        }
        result
    })
}

/// What is kept of a fit as it goes on.
struct Kept<'a> {
    checkpoint: &'a mut Checkpoint,
    key: blake3::Hash,
    resumed: Option<State>,
    /// After the last whole epoch.
    last: Option<State>,
}

pub(super) fn on_threads<T: Send>(
    num_threads: usize,
    compute: impl FnOnce() -> Result<T> + Send,
) -> Result<T> {
    rayon::ThreadPoolBuilder::new()
        .num_threads(num_threads)
        .build()
        .map_err(|error| Error::Internal(format!("cannot start {num_threads} threads: {error}")))?
        .install(compute)
}

/// On the current threads of rayon.
fn fit_here(
    train: &SplitFeatures,
    valid: &SplitFeatures,
    num_classes: usize,
    hyperparameters: &Hyperparameters,
    mut kept: Option<&mut Kept>,
    mut on_epoch: impl FnMut(&Epoch) -> Result<()>,
) -> Result<Fitted> {
    let Hyperparameters { seed, batch_size, max_epochs, patience, learning_rate, .. } =
        *hyperparameters;
    let scaling = Scaling::of(train)?;
    let num_samples = train.targets().len();
    let steps_per_epoch = num_samples.div_ceil(batch_size);
    let num_steps = max_epochs * steps_per_epoch;
    let mut optimizer = Adam::new(train, &scaling, num_classes, hyperparameters.l2_penalty);
    let mut order: Vec<usize> = (0..num_samples).collect();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);

    let mut history: Vec<Epoch> = Vec::new();
    let mut best: Option<(usize, Snapshot)> = None;
    if let Some(state) = kept.as_mut().and_then(|kept| kept.resumed.take())
        && optimizer.restore(state.adam, &state.best)
    {
        history = state.history;
        best = Some((state.best_epoch, state.best));
        log::info!("the fit goes on after epoch {}, where it was stopped", history.len());
        // Each epoch shuffles the order of the one before.
        history.iter().for_each(|_| order.shuffle(&mut rng));
    }
    let mut step = history.len() * steps_per_epoch;
    let best_epoch =
        |best: &Option<(usize, Snapshot)>| best.as_ref().map_or(0, |(epoch, _)| *epoch);
    while history.len() < max_epochs && history.len() - best_epoch(&best) < patience {
        order.shuffle(&mut rng);
        let mut accumulator = Accumulator::default();
        let mut rate = learning_rate;
        for batch in order.chunks(batch_size) {
            signals::check()?;
            rate = schedule::cosine(learning_rate, step, num_steps);
            let targets: Vec<usize> = batch.iter().map(|&index| train.targets()[index]).collect();
            optimizer.step(batch, &targets, rate, &mut accumulator)?;
            step += 1;
        }
        let epoch = Epoch {
            epoch: history.len() + 1,
            learning_rate: rate,
            train: accumulator.mean(),
            valid: optimizer.evaluate(valid)?,
        };
        on_epoch(&epoch)?;
        if !epoch.train.loss.is_finite() || !epoch.valid.loss.is_finite() {
            return Err(not_a_number(&epoch, learning_rate));
        }
        let lowest = history.get(best_epoch(&best).wrapping_sub(1)).map(|best| best.valid.loss);
        if lowest.is_none_or(|lowest| epoch.valid.loss < lowest) {
            best = Some((epoch.epoch, optimizer.snapshot()));
        }
        history.push(epoch);
        if let (Some(kept), Some((best_epoch, best))) = (&mut kept, &best) {
            kept.keep(State {
                history: history.clone(),
                adam: optimizer.state(),
                best_epoch: *best_epoch,
                best: best.clone(),
            });
        }
    }
    let Some((best_epoch, best)) = best else {
        return Err(Error::Internal("no epoch was trained".into()));
    };
    require_better_than_chance(&history, num_classes, learning_rate)?;
    let valid_loss = history[best_epoch - 1].valid.loss;
    let head = scaling.fold_into(&optimizer.head_at(&best));
    Ok(Fitted { head, valid_loss, best_epoch, history })
}

impl Kept<'_> {
    fn keep(&mut self, state: State) {
        self.checkpoint.offer(&self.key, &state);
        self.last = Some(state);
    }
}

/// A loss that stays within this fraction of chance has learnt nothing.
const CHANCE_MARGIN: f64 = 0.02;

fn require_better_than_chance(
    history: &[Epoch],
    num_classes: usize,
    learning_rate: f64,
) -> Result<()> {
    let chance = (num_classes as f64).ln();
    let lowest = history.iter().map(|epoch| epoch.train.loss).fold(f64::INFINITY, f64::min);
    // One class, or one epoch whose loss was averaged while it fell, says nothing.
    if num_classes < 2 || history.len() < 2 || lowest < chance * (1.0 - CHANCE_MARGIN) {
        return Ok(());
    }
    Err(Error::Diverged {
        reason: format!(
            "the train loss never left chance: {lowest:.4} at best, where guessing among \
             {num_classes} classes gives {chance:.4}"
        ),
        remedy: format!(
            "The learning rate ({learning_rate}) may be far too large or too small, or the labels \
             do not belong to the images. No model was saved."
        ),
    })
}

fn not_a_number(epoch: &Epoch, learning_rate: f64) -> Error {
    Error::Diverged {
        reason: format!(
            "the loss is no longer a number in epoch {} (train {}, valid {})",
            epoch.epoch, epoch.train.loss, epoch.valid.loss
        ),
        remedy: format!("Lower the learning rate ({learning_rate}). No model was saved."),
    }
}
