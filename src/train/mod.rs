//! Fitting the head on features, and layer4 on its inputs.

pub mod checkpoint;
#[cfg(feature = "torch")]
pub mod fine_tune;
pub mod fit;
mod optimizer;
mod scaling;
pub mod schedule;
#[cfg(feature = "torch")]
pub mod sgd;
mod update;
