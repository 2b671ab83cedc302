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

use std::path::Path;

use ec2train::config::TrainFrom;
use ec2train::job::Job;
use ec2train::train::fit::{Hyperparameters, Layer4Hyperparameters};

/// The main job in a folder, with a head that layer4's epochs can still improve.
fn job(dir: &Path, train_from: TrainFrom, max_epochs: usize) -> Job {
    ec2train::libtorch::link();
    Job {
        data_dir: dir.join("data/dogImages"),
        weights_dir: dir.join("data/weights"),
        model_dir: dir.join("TrainedModels"),
        hyperparameters: Hyperparameters {
            train_from,
            max_epochs: 1,
            layer4: Layer4Hyperparameters {
                batch_size: 4,
                max_epochs,
                patience: max_epochs,
                learning_rate: 1e-5,
                head_learning_rate: 1e-4,
                ..Layer4Hyperparameters::default()
            },
            ..Hyperparameters::default()
        },
        ..Job::real()
    }
}
