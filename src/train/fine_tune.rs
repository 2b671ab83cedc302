//! Training layer4 with the head, which only a program that is linked with libtorch can.

#[cfg(feature = "torch")]
mod epochs;

use std::sync::OnceLock;

use super::checkpoint::Checkpoint;
use super::fit::{Epoch, Fitted, Hyperparameters};
use crate::error::Result;
use crate::features::ActivationSplit;
use crate::model::state_dict::StateDict;

#[cfg(feature = "torch")]
pub use epochs::{cross_entropy, fine_tune, optimizer};

/// What fine-tuning made.
#[derive(Debug)]
pub struct FineTuned {
    /// The trained tensors of the best epoch, the head's included; empty when the head alone had the
    /// lowest validation loss.
    pub tensors: StateDict,
    /// The epoch with the lowest validation loss, counted on from the head's fit.
    pub best_epoch: usize,
    /// The head's epochs, then these.
    pub history: Vec<Epoch>,
}

/// As `fine_tune`, which only the feature `torch` brings, from the state dict of the network before its head was
/// fitted.
pub type FineTune = fn(
    state_dict: &StateDict,
    fitted: &Fitted,
    splits: [ActivationSplit; 2],
    hyperparameters: &Hyperparameters,
    num_threads: usize,
    checkpoint: &mut Checkpoint,
    on_epoch: &mut dyn FnMut(&Epoch) -> Result<()>,
) -> Result<FineTuned>;

/// Set once by a program that can.
pub static FINE_TUNE: OnceLock<FineTune> = OnceLock::new();
