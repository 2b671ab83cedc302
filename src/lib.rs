//! Trains an image classifier by transfer learning on a CPU machine.
//!
//! ```text
//! data/dogImages ──scan──> samples ──────────> chunks of 8 ──┐
//!                                                            │  one worker per core:
//!                          data/weights ──> backbone ────────┤  decode -> transform -> backbone
//!                                                            │
//!                                         feature store <────┘
//!                                                 │
//!                     head fit (train) ── choose (valid) ── evaluate once (test)
//!                                                 │
//!                                TrainedModels: model.pth, model.json
//! ```
//!
//! The backbone is frozen and in eval mode, so the features of an image depend only on the image,
//! the transform and the weights. They are computed once and kept on disk; every epoch after that
//! works on features.
//!
//! libtorch is there for a program that calls `libtorch::link`: the engine for CPUs without AVX2, oneDNN's
//! beside this program's own, training layer4, TorchScript, and several machines. The program `ec2train` does
//! not, and goes on as `ec2train-torch` where it takes one of them.
//!
//! Without the feature `torch` there is no such program. Without `native` there is no C++ at all, and no engine
//! in bf16 or in 16-bit integers. Without `serve` there is no server.

pub mod config;
pub mod error;

pub mod atomic_file;
mod checked_line;
pub mod digest;
pub mod disk_space;
pub mod fetch;
mod file_stat;
pub mod known_digests;
#[cfg(feature = "torch")]
mod seam;

pub mod data;
pub mod kernels;
pub mod model;
pub mod sample;

pub mod features;

pub mod metrics;
pub mod train;

pub mod evaluate;

pub mod distributed;

pub mod artifact;
pub mod job;
pub mod telemetry;

pub mod report;

pub mod pipeline;
pub mod predictor;
pub mod run;

pub mod export;
pub mod lambda;
pub mod sagemaker;

pub mod bench;
pub mod cli;
#[cfg(feature = "torch")]
pub mod libtorch;
#[cfg(feature = "serve")]
pub mod serving;

pub use error::{Error, Result};
