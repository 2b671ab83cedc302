//! The container of a SageMaker job: the real program in a folder laid out as /opt/ml.
#![allow(clippy::unwrap_used)]

#[path = "../common/mod.rs"]
mod common;

mod channels;
mod container;
mod disk;
mod failures;
#[cfg(feature = "torch")]
mod hosts;
mod hyperparameters;
#[cfg(feature = "serve")]
mod serve;
mod stop;
