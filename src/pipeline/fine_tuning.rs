//! Layer4's place in the main job.

use super::extraction::Activations;
use crate::config::TrainFrom;
use crate::error::{Error, Result};
use crate::features::ActivationSplit;
use crate::job::Job;
use crate::model::head::Head;
use crate::model::state_dict::StateDict;
use crate::model::weights::Weights;
use crate::run::status::StatusWriter;
use crate::train::checkpoint::Checkpoint;
use crate::train::fine_tune::{FINE_TUNE, FineTuned};
use crate::train::fit::{Epoch, Fitted};

/// Trains layer4 with the head of `fitted`, which it replaces along with the history. Returns the
/// tensors that differ from those of `weights`: none when the head alone had the lowest validation
/// loss.
pub(super) fn run(
    job: &Job,
    weights: &Weights,
    activations: &Activations,
    [train, valid]: [&[usize]; 2],
    fitted: &mut Fitted,
    status: &StatusWriter,
    mut on_epoch: impl FnMut(&Epoch) -> Result<()>,
) -> Result<StateDict> {
    let fine_tune = FINE_TUNE
        .get()
        .ok_or_else(|| Error::Internal("layer4 cannot be trained without libtorch".into()))?;
    let num_epochs = fitted.history.len() + job.hyperparameters.layer4.max_epochs;
    status.stage("epochs of layer4", num_epochs);
    let Activations { store, rows } = activations;
    let [train_rows, valid_rows] = rows;
    let splits = [
        ActivationSplit { store, rows: train_rows, targets: train },
        ActivationSplit { store, rows: valid_rows, targets: valid },
    ];
    let mut checkpoint = Checkpoint::after_every_epoch(&job.layer4_checkpoint_path());
    let FineTuned { mut tensors, best_epoch, history } = fine_tune(
        &weights.load()?,
        fitted,
        splits,
        &job.hyperparameters,
        job.num_workers,
        &mut checkpoint,
        &mut on_epoch,
    )?;
    if !tensors.is_empty() {
        fitted.head = Head::from_state_dict(&tensors)?;
        tensors.remove("fc.weight");
        tensors.remove("fc.bias");
    }
    (fitted.best_epoch, fitted.history) = (best_epoch, history);
    Ok(tensors)
}

/// Passes where this program can train what `job` asks for.
pub(super) fn require_support(job: &Job) -> Result<()> {
    if FINE_TUNE.get().is_some() || job.hyperparameters.train_from == TrainFrom::Head {
        return Ok(());
    }
    Err(Error::bad_data(
        "src/config.rs",
        "TRAIN_FROM is Layer4, which this program cannot train: it is not linked with libtorch",
        "Put `ec2train-torch` beside it, which `cargo build --release` makes, or set TRAIN_FROM to Head.",
    ))
}

/// Passes where what `job` asks for can be divided among machines.
pub(super) fn require_one_machine(job: &Job) -> Result<()> {
    if job.hyperparameters.train_from == TrainFrom::Head {
        return Ok(());
    }
    Err(Error::bad_data(
        "src/config.rs",
        "TRAIN_FROM is Layer4, which several machines cannot train together",
        "Set TRAIN_FROM to Head, or train on one machine, without RANK and WORLD_SIZE.",
    ))
}

/// A state dict with the tensors of `tuned` in place of its own.
pub(super) fn with(mut state_dict: StateDict, tuned: &StateDict) -> StateDict {
    for (name, tensor) in tuned.iter() {
        state_dict.insert(name, tensor.clone());
    }
    state_dict
}

/// Tells the network of `weights` and `tuned` from all others, 64 hex digits.
pub(super) fn fingerprint(weights: &Weights, tuned: &StateDict) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(weights.sha256.as_bytes());
    for (name, tensor) in tuned.iter() {
        hasher.update(name.as_bytes());
        hasher.update(&tensor.bytes);
    }
    hasher.finalize().to_hex().to_string()
}
