//! Training of layer4: against PyTorch, and as part of the main job.
#![cfg(feature = "torch")]
#![allow(clippy::unwrap_used)]

#[path = "../common/mod.rs"]
mod common;
mod cut;
#[allow(dead_code)]
#[path = "../backbone/formula.rs"]
mod formula;
mod gradients;
mod kill;
mod main_job;
mod resume;
