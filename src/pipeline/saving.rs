//! The end of a training: its model on disk, beside the standing one or in its place.

use std::fs;
use std::path::Path;
use std::time::Instant;

use super::Trained;
use super::fitting::Fit;
use super::report::{describe, program, report_verdict};
use crate::artifact::{
    self, BackboneOrigin, Cost, DataSummary, Draft, Metadata, SplitMetrics, Transform,
};
use crate::config::TRAIN_VIEWS;
use crate::data::image_folder::ImageFolder;
use crate::data::transform::EvalTransform;
use crate::disk_space;
use crate::error::Result;
use crate::features::SplitFeatures;
use crate::job::Job;
use crate::known_digests::KnownDigests;
use crate::model::backbone::Engine;
use crate::model::weights::Weights;
use crate::report::{self, KnownThumbnails, RunRecord};
use crate::run::host::{self, Host};
use crate::run::signals;
use crate::run::watch::{Observed, Watch};
use crate::telemetry::Journal;
use crate::train::checkpoint::Checkpoint;
use crate::train::fit::Fitted;

/// A training that has all its numbers.
pub(super) struct Finished<'a> {
    pub(super) job: &'a Job,
    pub(super) folder: &'a ImageFolder,
    pub(super) weights: &'a Weights,
    pub(super) digests: &'a KnownDigests,
    pub(super) transform: EvalTransform,
    pub(super) engine: Engine,
    /// Of each process.
    pub(super) num_workers: usize,
    pub(super) world_size: usize,
    pub(super) host: Host,
    pub(super) started: Instant,
    pub(super) features_seconds: f64,
    /// As [`super::inputs::digest`].
    pub(super) inputs: Option<String>,
    /// The model of before.
    pub(super) standing: Option<&'a Metadata>,
    pub(super) fit: Fit,
    pub(super) metrics: SplitMetrics,
    pub(super) temperature: Option<f64>,
    pub(super) data: DataSummary,
    pub(super) test: SplitFeatures,
}

impl Finished<'_> {
    /// Completes the model and writes its files; it stands if it is no worse than the one of before.
    ///
    /// # Errors
    /// As [`artifact::publish`]; why there is no draft.
    pub(super) fn save(
        self,
        draft: Result<Draft>,
        watch: Watch,
        journal: &Journal,
    ) -> Result<Trained> {
        let Finished { job, folder, weights, standing, .. } = self;
        let backbone_bytes = fs::metadata(&weights.path).map_or(0, |metadata| metadata.len());
        let needed_bytes = artifact::saved_bytes(backbone_bytes, folder.classes.len());
        signals::check()?;
        let total_seconds = self.started.elapsed().as_secs_f64();
        let observed = watch.end(total_seconds);
        let mut metadata = self.metadata(&observed, total_seconds);
        let verdict = artifact::judge(standing, &metadata);
        report_verdict(verdict, &self.metrics.test);
        let Fitted { head, history, .. } = &self.fit.fitted;
        let thumbnails = KnownThumbnails::open(&job.thumbnails_path());
        let draft_report =
            |unhashed: &Metadata| report::draft(&self.record(unhashed, &observed, &thumbnails));
        let add_files = |dir: &Path, metadata: &Metadata, report: report::Draft| {
            journal.write_files(dir, history, verdict.is_promoted());
            report::write(dir, &self.record(metadata, &observed, &thumbnails), report);
        };
        let publish = |draft| {
            artifact::publish(draft, head, &mut metadata, history, verdict, draft_report, add_files)
        };
        let model_path =
            draft.and_then(publish).map_err(|error| disk_space::explain(error, needed_bytes))?;
        if metadata.promoted {
            self.digests.remember(&artifact::model_path(&job.model_dir), &metadata.model_sha256);
        }
        discard_checkpoints(job);
        log::info!("{}", metadata.cost);
        Ok(Trained { metadata, model_path, is_new: true })
    }

    /// What model.json says, but for the hash of the model and what becomes of it.
    fn metadata(&self, observed: &Observed, total_seconds: f64) -> Metadata {
        let Finished { job, weights, transform, fit, .. } = self;
        Metadata {
            program: program(),
            created: jiff::Timestamp::now(),
            kind: job.kind,
            description: describe(job.kind).into(),
            architecture: "resnet50".into(),
            model_sha256: String::new(),
            inputs: self.inputs.clone(),
            class_names: self.folder.classes.class_names().to_vec(),
            transform: Transform {
                resize: transform.resize,
                crop: transform.crop,
                mean: transform.mean,
                std: transform.std,
            },
            backbone: BackboneOrigin {
                file: weights.path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
                sha256: weights.sha256.clone(),
            },
            engine: self.engine.name().into(),
            train_views: TRAIN_VIEWS,
            train_from: job.hyperparameters.train_from,
            hyperparameters: job.hyperparameters.clone(),
            search: fit.search.clone(),
            temperature: self.temperature,
            best_epoch: fit.fitted.best_epoch,
            num_epochs: fit.fitted.history.len(),
            metrics: self.metrics,
            promoted: true,
            data: self.data.clone(),
            host: Host { instance: observed.instance.clone(), ..self.host.clone() },
            cost: Cost {
                num_workers: self.num_workers,
                world_size: self.world_size,
                features_seconds: self.features_seconds,
                fit_seconds: fit.seconds,
                total_seconds,
                peak_memory_bytes: host::peak_memory_bytes(),
                cpu: observed.cpu,
                estimate: observed.estimate.clone(),
            },
        }
    }

    /// What the report shows.
    fn record<'b>(
        &'b self,
        metadata: &'b Metadata,
        observed: &'b Observed,
        thumbnails: &'b KnownThumbnails,
    ) -> RunRecord<'b> {
        RunRecord {
            metadata,
            history: &self.fit.fitted.history,
            timeline: &observed.timeline,
            folder: self.folder,
            test: &self.test,
            head: &self.fit.fitted.head,
            standing: self.standing,
            thumbnails,
        }
    }
}

/// Deletes what a killed run would have gone on from. The model is safe and the run a success, whatever
/// comes of this.
pub(super) fn discard_checkpoints(job: &Job) {
    for path in [job.checkpoint_path(), job.layer4_checkpoint_path()] {
        if let Err(error) = Checkpoint::at(&path).remove() {
            log::warn!("{error}");
        }
    }
}
