//! The epoch loop over layer4 with the head.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use tch::{Reduction, Tensor};

use super::FineTuned;
use crate::error::{Error, Result};
use crate::features::ActivationSplit;
use crate::kernels::isa::Isa;
use crate::metrics::{Accumulator, Metrics};
use crate::model::layer4::{self, Layer4};
use crate::model::state_dict::StateDict;
use crate::run::{heap, signals};
use crate::train::checkpoint::Checkpoint;
use crate::train::fit::{Epoch, Fitted, Hyperparameters};
use crate::train::floats::Floats;
use crate::train::schedule::cosine;
use crate::train::sgd::{Parameter, Sgd};

/// Raised with every change of this loop's arithmetic, or of what its checkpoint holds.
const VERSION: u32 = 3;

/// All that an epoch changes, to go on from. The order of the mini-batches follows from the seed and
/// the number of epochs.
#[derive(Debug, Default, Serialize, Deserialize)]
struct State {
    /// The head's epochs first.
    history: Vec<Epoch>,
    values: Vec<Floats>,
    velocities: Vec<Floats>,
    best_epoch: usize,
    /// Values after the best epoch; empty while that is one of the head's.
    best: Vec<Floats>,
}

/// Trains `network`, whose head is that of `fitted`, on `train`, and returns it as it was after the
/// epoch with the lowest validation loss. A loss that is no longer a number ends it early, with a
/// warning: what was best until then is kept. libtorch computes on `num_threads` threads.
///
/// Goes on from `checkpoint` where that is of the same training, to the same bits for the same number
/// of threads. It is brought up to date after every epoch. `on_epoch` does not see again the epochs of
/// before.
///
/// # Errors
/// [`Error::Stopped`]; when activations cannot be read, or
/// libtorch fails, as it does without memory.
pub fn fine_tune(
    network: &Layer4,
    fitted: &Fitted,
    [train, valid]: [ActivationSplit; 2],
    hyperparameters: &Hyperparameters,
    num_threads: usize,
    checkpoint: &mut Checkpoint,
    mut on_epoch: impl FnMut(&Epoch) -> Result<()>,
) -> Result<FineTuned> {
    tch::set_num_threads(num_threads.try_into().unwrap_or(1));
    heap::keep();
    let key = key(fitted, &[train, valid], hyperparameters, num_threads)?;
    let (names, mut sgd) = optimizer(network, hyperparameters)?;
    let mut order: Vec<usize> = (0..train.targets.len()).collect();
    let mut rng = ChaCha8Rng::seed_from_u64(hyperparameters.seed);
    let num_head_epochs = fitted.history.len();
    let mut best_epoch = fitted.best_epoch;
    let mut history = fitted.history.clone();
    let mut best = Vec::new();
    if let Some(state) = checkpoint.read::<State>(&key) {
        restore(&sgd, &state)?;
        State { history, best_epoch, best, .. } = state;
        let num_epochs = history.len() - num_head_epochs;
        log::info!("fine-tuning goes on after epoch {num_epochs}, where it was stopped");
        // Each epoch shuffles the order of the one before.
        (0..num_epochs).for_each(|_| order.shuffle(&mut rng));
    }

    let settings = &hyperparameters.layer4;
    let steps_per_epoch = order.len().div_ceil(settings.batch_size);
    let num_steps = settings.max_epochs * steps_per_epoch;
    let mut step = (history.len() - num_head_epochs) * steps_per_epoch;
    'epochs: while history.len() - num_head_epochs < settings.max_epochs
        && history.len() - best_epoch.max(num_head_epochs) < settings.patience
    {
        order.shuffle(&mut rng);
        let mut accumulator = Accumulator::default();
        let mut schedule = 1.0;
        for batch in order.chunks(settings.batch_size) {
            signals::check()?;
            schedule = cosine(1.0, step, num_steps);
            let (logits, targets) = forward(network, &train, batch)?;
            accumulator.add(&layer4::to_vec(&logits)?, &targets);
            let loss = cross_entropy(&logits, &targets)?;
            if !loss.double_value(&[]).is_finite() {
                warn_of_divergence(history.len() + 1, settings.learning_rate);
                break 'epochs;
            }
            sgd.step(&loss, schedule)?;
            step += 1;
        }
        let epoch = Epoch {
            epoch: history.len() + 1,
            learning_rate: settings.learning_rate * schedule,
            train: accumulator.mean(),
            valid: evaluate(network, &valid, settings.batch_size)?,
        };
        if !epoch.valid.loss.is_finite() {
            warn_of_divergence(epoch.epoch, settings.learning_rate);
            break;
        }
        on_epoch(&epoch)?;
        let values = sgd.parameters.iter().map(|parameter| floats(&parameter.value));
        let values: Vec<Floats> = values.collect::<Result<_>>()?;
        let lowest = if best_epoch > num_head_epochs {
            history[best_epoch - 1].valid.loss
        } else {
            fitted.valid_loss
        };
        if epoch.valid.loss < lowest {
            best_epoch = epoch.epoch;
            best.clone_from(&values);
        }
        history.push(epoch);
        let velocities = sgd.parameters.iter().map(|parameter| floats(&parameter.velocity));
        let velocities = velocities.collect::<Result<_>>()?;
        let state = State { history, values, velocities, best_epoch, best };
        checkpoint.write(&key, &state);
        State { history, best, .. } = state;
    }
    let mut tensors = StateDict::new();
    for ((name, parameter), values) in names.iter().zip(&sgd.parameters).zip(&best) {
        layer4::set(&parameter.value, &values.0)?;
        tensors.insert(name.clone(), layer4::to_tensor_data(&parameter.value)?);
    }
    Ok(FineTuned { tensors, best_epoch, history })
}

/// The names of the parameters, and their optimizer.
///
/// # Errors
/// When libtorch fails, as it does without memory.
pub fn optimizer(
    network: &Layer4,
    hyperparameters: &Hyperparameters,
) -> Result<(Vec<String>, Sgd)> {
    let settings = &hyperparameters.layer4;
    let (mut names, mut parameters) = (Vec::new(), Vec::new());
    for (name, value) in network.parameters() {
        let is_head = name.starts_with("fc.");
        parameters.push(Parameter {
            rate: if is_head { settings.head_learning_rate } else { settings.learning_rate },
            weight_decay: if value.dim() > 1 { settings.weight_decay } else { 0.0 },
            velocity: value.f_zeros_like()?,
            value,
        });
        names.push(name);
    }
    Ok((names, Sgd { parameters, momentum: settings.momentum }))
}

/// The mean cross-entropy of logits `[B, C]`.
///
/// # Errors
/// When libtorch fails.
pub fn cross_entropy(logits: &Tensor, targets: &[usize]) -> Result<Tensor> {
    let targets: Vec<i64> = targets.iter().map(|&target| target as i64).collect();
    let targets = Tensor::f_from_slice(&targets)?;
    Ok(logits.f_cross_entropy_loss(&targets, None::<Tensor>, Reduction::Mean, -100, 0.0)?)
}

fn warn_of_divergence(epoch: usize, learning_rate: f64) {
    log::warn!(
        "the loss is no longer a number in epoch {epoch}: fine-tuning ends, the best epoch until then \
         is kept. A learning rate below {learning_rate} may help"
    );
}

fn forward(
    network: &Layer4,
    split: &ActivationSplit,
    batch: &[usize],
) -> Result<(Tensor, Vec<usize>)> {
    let mut bits = Vec::new();
    split.read(batch, &mut bits)?;
    let targets = batch.iter().map(|&index| split.targets[index]).collect();
    Ok((network.logits(&layer4::input(&bits)?)?, targets))
}

fn evaluate(network: &Layer4, split: &ActivationSplit, batch_size: usize) -> Result<Metrics> {
    let order: Vec<usize> = (0..split.targets.len()).collect();
    let mut accumulator = Accumulator::default();
    for batch in order.chunks(batch_size) {
        signals::check()?;
        let (logits, targets) = tch::no_grad(|| forward(network, split, batch))?;
        accumulator.add(&layer4::to_vec(&logits)?, &targets);
    }
    Ok(accumulator.mean())
}

fn floats(parameter: &Tensor) -> Result<Floats> {
    Ok(Floats(layer4::to_vec(parameter)?))
}

fn restore(sgd: &Sgd, state: &State) -> Result<()> {
    let saved = state.values.iter().zip(&state.velocities);
    for (parameter, (value, velocity)) in sgd.parameters.iter().zip(saved) {
        layer4::set(&parameter.value, &value.0)?;
        layer4::set(&parameter.velocity, &velocity.0)?;
    }
    Ok(())
}

/// A hash of all that decides on the training.
fn key(
    fitted: &Fitted,
    splits: &[ActivationSplit; 2],
    hyperparameters: &Hyperparameters,
    num_threads: usize,
) -> Result<blake3::Hash> {
    let program = (env!("CARGO_PKG_VERSION"), VERSION, Isa::fastest().name());
    // The name of the store's file stands for the frozen part.
    let store = splits.each_ref().map(|split| split.store.path().file_name());
    let store = store.map(|name| name.map(|name| name.as_encoded_bytes().to_vec()));
    let described = (program, num_threads, hyperparameters, &fitted.head, &fitted.history, store);
    let described = postcard::to_stdvec(&described)
        .map_err(|error| Error::Internal(format!("cannot describe the training: {error}")))?;
    let mut hasher = blake3::Hasher::new();
    hasher.update(&described);
    for split in splits {
        hasher.update(&(split.rows.len() as u64).to_le_bytes());
        for ((content, view), target) in split.rows.iter().zip(split.targets) {
            hasher.update(content.as_bytes());
            hasher.update(&view.to_le_bytes());
            hasher.update(&(*target as u64).to_le_bytes());
        }
    }
    Ok(hasher.finalize())
}
