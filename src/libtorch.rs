//! Gives the program what it has of libtorch.
//!
//! Nothing else in the crate refers to it, so that a program without a call of [`link`] is linked without
//! libtorch: loading that takes longer than all else in a run that has its features.

use crate::distributed::c10d::{CONNECT, LibtorchStore};
use crate::export::torchscript::{SAVE_MODULE, save_module};
use crate::model::backbone::{
    LIBTORCH_ENGINES, LibtorchBackbone, LibtorchEngines, OnednnBackbone, is_supported,
};
use crate::model::layer4::Layer4;
use crate::train::fine_tune::{FINE_TUNE, fine_tune};

/// To be called before anything else; again, it does nothing.
pub fn link() {
    let engines = LibtorchEngines {
        is_supported,
        fused: |state_dict, precision, batch| {
            Ok(Box::new(OnednnBackbone::new(state_dict, precision, batch)?))
        },
        plain: |state_dict, batch| Ok(Box::new(LibtorchBackbone::new(state_dict, batch)?)),
    };
    // Each is either set here for the first time, or has been to the same.
    let _ = LIBTORCH_ENGINES.set(engines);
    let _ = FINE_TUNE.set(
        |state_dict, fitted, splits, hyperparameters, num_threads, checkpoint, on_epoch| {
            let network = Layer4::new(state_dict, &fitted.head)?;
            fine_tune(&network, fitted, splits, hyperparameters, num_threads, checkpoint, on_epoch)
        },
    );
    let _ = SAVE_MODULE.set(save_module);
    let _ = CONNECT.set(|endpoint| Ok(Box::new(LibtorchStore::connect(endpoint)?)));
}
