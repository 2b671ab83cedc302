//! Gives the program what it has of libtorch.
//!
//! Nothing else in the crate refers to it, so that a program without a call of [`link`] is linked without
//! libtorch: loading that takes longer than all else in a run that has its features.

use crate::distributed::c10d::{self, Endpoint, LibtorchStore, Store};
use crate::error::Result;
use crate::export::torchscript;
use crate::features::ActivationSplit;
use crate::model::backbone::{
    LIBTORCH_ENGINES, LibtorchBackbone, LibtorchEngines, LibtorchNetwork, OnednnBackbone,
    Precision, is_supported,
};
use crate::model::layer4::Layer4;
use crate::model::state_dict::StateDict;
use crate::train::checkpoint::Checkpoint;
use crate::train::fine_tune::{self, FineTuned};
use crate::train::fit::{Epoch, Fitted, Hyperparameters};

/// To be called before anything else; again, it does nothing.
pub fn link() {
    let engines = LibtorchEngines { is_supported, fused, plain };
    // Each is either set here for the first time, or has been to the same.
    let _ = LIBTORCH_ENGINES.set(engines);
    let _ = fine_tune::FINE_TUNE.set(fine_tune);
    let _ = torchscript::SAVE_MODULE.set(torchscript::save_module);
    let _ = c10d::CONNECT.set(connect);
}

fn fused(
    state_dict: &StateDict,
    precision: Precision,
    batch: usize,
) -> Result<Box<dyn LibtorchNetwork>> {
    Ok(Box::new(OnednnBackbone::new(state_dict, precision, batch)?))
}

fn plain(state_dict: &StateDict, batch: usize) -> Result<Box<dyn LibtorchNetwork>> {
    Ok(Box::new(LibtorchBackbone::new(state_dict, batch)?))
}

fn fine_tune(
    state_dict: &StateDict,
    fitted: &Fitted,
    splits: [ActivationSplit; 2],
    hyperparameters: &Hyperparameters,
    num_threads: usize,
    checkpoint: &mut Checkpoint,
    on_epoch: &mut dyn FnMut(&Epoch) -> Result<()>,
) -> Result<FineTuned> {
    let network = Layer4::new(state_dict, &fitted.head)?;
    fine_tune::fine_tune(
        &network,
        fitted,
        splits,
        hyperparameters,
        num_threads,
        checkpoint,
        on_epoch,
    )
}

fn connect(endpoint: &Endpoint) -> Result<Box<dyn Store>> {
    Ok(Box::new(LibtorchStore::connect(endpoint)?))
}
