//! The head that a run saves, from the features of its images.

use std::mem;
use std::time::Instant;

use super::extraction::Extracted;
use super::fine_tuning;
use super::report::log_epoch;
use crate::config::L2_PENALTIES;
use crate::error::Result;
use crate::features::SplitFeatures;
use crate::job::Job;
use crate::metrics::Metrics;
use crate::model::state_dict::StateDict;
use crate::model::weights::Weights;
use crate::run::console;
use crate::run::heap;
use crate::run::status::StatusWriter;
use crate::telemetry::Journal;
use crate::train::checkpoint::Checkpoint;
use crate::train::fit::{self, Epoch, Fitted};
use crate::train::search::{Search, choose_penalty};

/// What was trained.
pub(super) struct Fit {
    pub(super) fitted: Fitted,
    /// How the penalty was chosen, if it was.
    pub(super) search: Option<Search>,
    /// Of the head on train, as layer4 was before it was trained.
    pub(super) of_train: Metrics,
    /// Layer4's new weights; empty where it was not trained.
    pub(super) tuned: StateDict,
    /// Wall time.
    pub(super) seconds: f64,
}

/// Fits the head, from where an earlier run of the same job was stopped, then layer4 where `extracted`
/// has what it takes, which is consumed, as the features of train and valid are.
///
/// # Errors
/// As [`fit::fit`]; libtorch's.
pub(super) fn fit(
    job: &Job,
    weights: &Weights,
    extracted: &mut Extracted,
    num_classes: usize,
    status: &StatusWriter,
    journal: &Journal,
) -> Result<Fit> {
    let started = Instant::now();
    let activations = extracted.activations.take();
    let Extracted { train, valid, .. } = extracted;
    let train = mem::replace(train, SplitFeatures::none(train.num_features()));
    let valid = mem::replace(valid, SplitFeatures::none(valid.num_features()));
    let targets =
        activations.as_ref().map(|_| [&train, &valid].map(|split| split.targets().to_vec()));
    let on_epoch = |epoch: &Epoch| {
        log_epoch(epoch);
        status.epoch(epoch);
        journal.epoch(epoch);
        Ok(())
    };
    status.stage("epochs", job.hyperparameters.max_epochs);
    let mut checkpoint = Checkpoint::at(&job.checkpoint_path());
    let mut fitted = fit::fit_with_checkpoint(
        &train,
        &valid,
        num_classes,
        &job.hyperparameters,
        job.num_workers,
        &mut checkpoint,
        on_epoch,
    )?;
    status.stage("L2 penalty", 0);
    // The search takes the place of the epochs.
    heap::trim();
    let settings = &job.hyperparameters;
    let (search, of_train) =
        choose_penalty(&mut fitted, train, valid, settings, &L2_PENALTIES, job.num_workers)?;
    if let Some(search) = &search {
        log::info!("{search}");
    }
    let mut tuned = StateDict::new();
    if let Some((activations, targets)) = activations.zip(targets) {
        let targets = targets.each_ref().map(Vec::as_slice);
        tuned =
            fine_tuning::run(job, weights, &activations, targets, &mut fitted, status, on_epoch)?;
    }
    let seconds = started.elapsed().as_secs_f64();
    log::info!(
        "kept epoch {} of {}, trained in {}",
        fitted.best_epoch,
        fitted.history.len(),
        console::seconds(seconds)
    );
    Ok(Fit { fitted, search, of_train, tuned, seconds })
}
