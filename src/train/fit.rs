//! The epoch loop: mini-batches through the head.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::schedule;
use crate::config;
use crate::error::{Error, Result};
use crate::evaluate;
use crate::features::FeatureMatrix;
use crate::metrics::{Accumulator, Metrics};
use crate::model::head::{Head, to_vec};

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
    /// The epoch with the lowest validation loss, from 1.
    pub best_epoch: usize,
    /// All epochs.
    pub history: Vec<Epoch>,
}

/// Fits a head of `num_classes` outputs on `train` with Adam, and returns it as
/// it was after the epoch with the lowest validation loss. `on_epoch` sees each epoch as it ends.
///
/// The result depends on the arguments alone, not on the number of threads: libtorch computes on
/// the calling thread.
///
/// # Errors
/// [`Error::Diverged`] when the loss turns NaN or never leaves chance, which is
/// `ln(num_classes)`.
pub fn fit(
    train: &FeatureMatrix,
    valid: &FeatureMatrix,
    num_classes: usize,
    hyperparameters: &Hyperparameters,
    mut on_epoch: impl FnMut(&Epoch) -> Result<()>,
) -> Result<Fitted> {
    let Hyperparameters { seed, batch_size, max_epochs, patience, learning_rate, .. } =
        *hyperparameters;
    tch::set_num_threads(1);
    let scaling = Scaling::of(train)?;
    let x = scaling.apply(&train.to_tensor()?)?; // [N, F]
    let x_valid = scaling.apply(&valid.to_tensor()?)?;

    let num_samples = train.targets.len();
    let num_steps = max_epochs * num_samples.div_ceil(batch_size);
    let mut optimizer = Adam::new(num_classes, train.num_features, hyperparameters.l2_penalty)?;
    let mut order: Vec<i64> = (0..num_samples as i64).collect();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);

    let mut history: Vec<Epoch> = Vec::new();
    let mut best: Option<(usize, f64, Head)> = None;
    let mut step = 0;
    for epoch in 1..=max_epochs {
        order.shuffle(&mut rng);
        let mut accumulator = Accumulator::default();
        let mut rate = learning_rate;
        for batch in order.chunks(batch_size) {
            rate = schedule::cosine(learning_rate, step, num_steps);
            let targets: Vec<usize> = batch.iter().map(|&i| train.targets[i as usize]).collect();
            let x = x.f_index_select(0, &Tensor::f_from_slice(batch)?)?; // [B, F]
            let logits = optimizer.step(&x, &targets, rate)?;
            accumulator.add(&logits, &targets);
            step += 1;
        }
        let epoch = Epoch {
            epoch,
            learning_rate: rate,
            train: accumulator.mean(),
            valid: evaluate::evaluate_tensor(&optimizer.head, &x_valid, &valid.targets)?,
        };
        on_epoch(&epoch)?;
        if !epoch.train.loss.is_finite() || !epoch.valid.loss.is_finite() {
            return Err(not_a_number(&epoch, learning_rate));
        }
        let is_best = best.as_ref().is_none_or(|(_, loss, _)| epoch.valid.loss < *loss);
        if is_best {
            best = Some((epoch.epoch, epoch.valid.loss, optimizer.head.copy()));
        }
        history.push(epoch);
        let best_epoch = best.as_ref().map_or(0, |(epoch, ..)| *epoch);
        if history.len() - best_epoch >= patience {
            break;
        }
    }
    let Some((best_epoch, _, head)) = best else {
        return Err(Error::Internal("no epoch was trained".into()));
    };
    require_better_than_chance(&history, num_classes, learning_rate)?;
    Ok(Fitted { head: scaling.fold_into(&head)?, best_epoch, history })
}

/// Centres features and divides them by one number, so that their mean variance is one.
///
/// With a bias that is not penalized this changes nothing in the optimum but makes it quick to
/// reach: the mean of ResNet50's features, which are never negative, is otherwise by far the
/// direction of largest curvature.
struct Scaling {
    /// `[F]` f32.
    mean: Tensor,
    /// Root of the mean variance.
    deviation: f64,
}

impl Scaling {
    fn of(train: &FeatureMatrix) -> Result<Self> {
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
        Ok(Scaling { mean: Tensor::f_from_slice(&mean)?, deviation: variance.sqrt() })
    }

    fn apply(&self, features: &Tensor) -> Result<Tensor> {
        Ok(features.f_sub(&self.mean)?.f_div_scalar_(self.deviation)?)
    }

    /// The head that gives the same logits on plain features.
    fn fold_into(&self, head: &Head) -> Result<Head> {
        let weight = head.weight.f_to_kind(Kind::Double)?.f_div_scalar(self.deviation)?; // [C, F]
        let shift = weight.f_mv(&self.mean.f_to_kind(Kind::Double)?)?; // [C]
        let bias = head.bias.f_to_kind(Kind::Double)?.f_sub(&shift)?;
        Ok(Head { weight: weight.f_to_kind(Kind::Float)?, bias: bias.f_to_kind(Kind::Float)? })
    }
}

/// Adam (Kingma and Ba 2015) on the mean cross-entropy plus the L2 penalty.
///
/// The penalty is part of the loss, not decoupled as in AdamW, so that the optimum is that of
/// penalized logistic regression. Plain momentum does not reach it in the same number of epochs: a
/// few directions of the features have most of the variance.
struct Adam {
    head: Head,
    /// Running mean of the gradient.
    mean: Head,
    /// Running mean of its square.
    square: Head,
    l2_penalty: f64,
    num_steps: i32,
}

/// Share of the running mean that a step keeps; PyTorch's default.
const BETA_MEAN: f64 = 0.9;
/// The same for the running mean of squares.
const BETA_SQUARE: f64 = 0.999;
/// Keeps the quotient finite where no gradient has been; PyTorch's default.
const EPSILON: f64 = 1e-8;

impl Adam {
    fn new(num_classes: usize, num_features: usize, l2_penalty: f64) -> Result<Self> {
        Ok(Adam {
            head: Head::zeros(num_classes, num_features)?,
            mean: Head::zeros(num_classes, num_features)?,
            square: Head::zeros(num_classes, num_features)?,
            l2_penalty,
            num_steps: 0,
        })
    }

    /// One step on features `[B, F]`; returns the logits `[B, C]` from before it.
    fn step(&mut self, x: &Tensor, targets: &[usize], rate: f64) -> Result<Vec<f32>> {
        let logits = self.head.forward(x)?; // [B, C]
        let gradient = loss_gradient(&logits, targets)?; // [B, C]
        let penalty = self.head.weight.f_mul_scalar(self.l2_penalty)?;
        let weight_gradient = penalty.f_addmm(&gradient.f_tr()?, x)?; // [C, F]
        let bias_gradient = gradient.f_sum_dim_intlist([0i64].as_slice(), false, Kind::Float)?;

        self.num_steps += 1;
        let mean_correction = 1.0 - BETA_MEAN.powi(self.num_steps);
        let square_correction = 1.0 - BETA_SQUARE.powi(self.num_steps);
        for (parameter, mean, square, gradient) in [
            (
                &mut self.head.weight,
                &mut self.mean.weight,
                &mut self.square.weight,
                weight_gradient,
            ),
            (&mut self.head.bias, &mut self.mean.bias, &mut self.square.bias, bias_gradient),
        ] {
            let _ = mean.f_lerp_(&gradient, 1.0 - BETA_MEAN)?;
            let _ = square.f_lerp_(&gradient.f_square()?, 1.0 - BETA_SQUARE)?;
            let deviation = square
                .f_div_scalar(square_correction)?
                .f_sqrt_()?
                .f_add_scalar_(EPSILON)?
                .f_mul_scalar_(-mean_correction / rate)?;
            let _ = parameter.f_add_(&mean.f_div(&deviation)?)?;
        }
        to_vec(&logits)
    }
}

/// The gradient of the mean cross-entropy by the logits `[B, C]`: `(softmax - one-hot) / B`.
fn loss_gradient(logits: &Tensor, targets: &[usize]) -> Result<Tensor> {
    let batch_size = targets.len() as i64;
    let indices: Vec<i64> = targets.iter().map(|&target| target as i64).collect();
    let indices = Tensor::f_from_slice(&indices)?.f_unsqueeze(1)?; // [B, 1]
    let minus_one = Tensor::f_full([batch_size, 1], -1.0, (Kind::Float, tch::Device::Cpu))?;
    let gradient = logits.f_softmax(-1, Kind::Float)?.f_scatter_add(1, &indices, &minus_one)?;
    Ok(gradient.f_div_scalar(batch_size as f64)?)
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
