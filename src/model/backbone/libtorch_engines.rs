//! The engines that compute with libtorch, which not every program is linked with.

use std::sync::OnceLock;

use super::Precision;
use super::shared::SharedNetwork;
use crate::error::{Error, Result};
use crate::model::state_dict::StateDict;

/// What makes backbones of them.
#[derive(Debug)]
pub struct LibtorchEngines {
    /// Whether the fused convolutions run here in this precision.
    pub is_supported: fn(Precision) -> bool,
    /// Fused convolutions, for batches of a number of images.
    pub fused: fn(&StateDict, Precision, usize) -> Result<Box<dyn SharedNetwork>>,
    /// Plain ones.
    pub plain: fn(&StateDict, usize) -> Result<Box<dyn SharedNetwork>>,
}

/// Set once by a program that has them.
pub static LIBTORCH_ENGINES: OnceLock<LibtorchEngines> = OnceLock::new();

/// Whether they are there and run the fused convolutions here.
pub(super) fn is_supported(precision: Precision) -> bool {
    LIBTORCH_ENGINES.get().is_some_and(|engines| (engines.is_supported)(precision))
}

/// As [`LibtorchEngines::fused`].
pub(super) fn fused(
    state_dict: &StateDict,
    precision: Precision,
    batch: usize,
) -> Result<Box<dyn SharedNetwork>> {
    (engines()?.fused)(state_dict, precision, batch)
}

/// As [`LibtorchEngines::plain`].
pub(super) fn plain(state_dict: &StateDict, batch: usize) -> Result<Box<dyn SharedNetwork>> {
    (engines()?.plain)(state_dict, batch)
}

fn engines() -> Result<&'static LibtorchEngines> {
    let missing = || Error::Internal("this program is not linked with libtorch".into());
    LIBTORCH_ENGINES.get().ok_or_else(missing)
}
