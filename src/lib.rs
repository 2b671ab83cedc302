//! Trains an image classifier by transfer learning on a CPU machine.
//!
//! ```text
//! data/dogImages ──scan──> samples ──────────> chunks of 8 ──┐
//!                                                            │  one worker per core:
//!                          data/weights ──> backbone ────────┤  decode -> transform -> backbone
//!                                                            │
//!                                              features <────┘
//!                                                 │
//!                     head fit (train) ── choose (valid) ── evaluate once (test)
//!                                                 │
//!                                TrainedModels: model.pth, model.json
//! ```
//!
//! The backbone is frozen and in eval mode, so the features of an image depend only on the image,
//! the transform and the weights. They are computed once; every epoch after that works on features.
//!
//! Without the feature `torch` only the parts are built that compute nothing with libtorch.

pub mod config;
pub mod error;

pub mod atomic_file;
pub mod digest;
pub mod fetch;

pub mod data;
pub mod kernels;
pub mod model;
pub mod sample;

pub mod features;

pub mod metrics;
#[cfg(feature = "torch")]
pub mod train;

#[cfg(feature = "torch")]
pub mod evaluate;

#[cfg(feature = "torch")]
pub mod artifact;
#[cfg(feature = "torch")]
pub mod job;

#[cfg(feature = "torch")]
pub mod pipeline;
#[cfg(feature = "torch")]
pub mod predictor;
pub mod run;

#[cfg(feature = "torch")]
pub mod cli;

pub use error::{Error, Result};
