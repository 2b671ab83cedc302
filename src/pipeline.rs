//! The main job from end to end.

mod evaluation;
mod extraction;
mod report;

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::artifact::{self, BackboneOrigin, Cost, Metadata, SplitMetrics, Transform};
use crate::atomic_file;
use crate::config::{EXPECTED_NUM_CLASSES, TRAIN_VIEWS};
use crate::data::image_folder::{ImageFolder, Split, require_all_classes};
use crate::data::transform::EvalTransform;
use crate::disk_space;
use crate::error::Result;
use crate::evaluate::evaluate;
use crate::job::{Job, Kind};
use crate::model::backbone::Engine;
use crate::model::weights::Weights;
use crate::run::console::seconds;
use crate::run::host::{self, Host};
use crate::run::lock::RunLock;
use crate::run::signals;
use crate::run::status::{Model, StatusWriter};
use crate::run::watch::Watch;
use crate::sample;
use crate::train::checkpoint::Checkpoint;
use crate::train::fit::Epoch;
use crate::train::search::{self, Found, Search};
use crate::train::temperature;
use extraction::extract_folder;
use report::{
    announce_sample, describe, log_epoch, program, report_files, report_verdict, warn_if_guessing,
};

pub use evaluation::{Evaluation, evaluate_saved};

/// What a training made.
#[derive(Debug)]
pub struct Trained {
    /// What its model.json says.
    pub metadata: Metadata,
    /// Its model.pth, in a folder of this training's own.
    pub model_path: PathBuf,
}

/// Trains, tests and saves, as `job` says. Goes on from where an earlier run of the same job was
/// stopped or killed, to the same bytes of model.pth.
///
/// # Errors
/// Everything a user can mend is named in the error. The model of the run before stands until the
/// new one is whole. [`Error::Stopped`](crate::Error::Stopped) when the run was asked to end.
pub fn train(job: &Job) -> Result<Trained> {
    atomic_file::create_dir(&job.model_dir)?;
    let _lock = RunLock::acquire(&job.model_dir)?;
    for dir in [job.model_dir.clone(), artifact::runs_dir(&job.model_dir), job.features_dir()] {
        atomic_file::remove_leftovers(&dir)?;
    }
    let status = StatusWriter::start(&job.model_dir);
    let result = train_locked(job, &status);
    status.end(result.as_ref().map(|trained| Model {
        path: trained.model_path.clone(),
        promoted: trained.metadata.promoted,
        metrics: trained.metadata.metrics,
    }));
    result
}

fn train_locked(job: &Job, status: &StatusWriter) -> Result<Trained> {
    let started = Instant::now();
    let watch = Watch::start();
    let host = Host::detect();
    let engine = Engine::fastest();
    log::info!("{} on {} ({} workers, {engine})", program(), host.cpu_model, job.num_workers);
    announce_sample(job.kind);
    if job.kind == Kind::Sample {
        status.stage("drawing the sample", 0);
        sample::ensure(&job.data_dir, &job.weights_dir)?;
    }

    status.stage("reading the folders", 0);
    // At once, as below: a run with nothing new to compute takes half a second.
    let (folder, weights) = rayon::join(
        || ImageFolder::scan(&job.data_dir),
        || Weights::locate(&job.weights_dir, job.weights_file),
    );
    let (folder, weights) = (folder?, weights?);
    let num_classes = folder.classes.len();
    log::info!(
        "{}: {num_classes} classes; {} train, {} valid, {} test images",
        job.data_dir.display(),
        folder.samples(Split::Train).len(),
        folder.samples(Split::Valid).len(),
        folder.samples(Split::Test).len()
    );
    if num_classes != EXPECTED_NUM_CLASSES {
        log::warn!("{num_classes} classes, where the dog breeds have {EXPECTED_NUM_CLASSES}");
    }

    log::info!("{}: SHA-256 {}", weights.path.display(), weights.sha256);
    let transform = EvalTransform::imagenet(weights.resize);

    let features_started = Instant::now();
    let extracted = extract_folder(job, &folder, &weights, engine, transform, status)?;
    let features_seconds = features_started.elapsed().as_secs_f64();
    report_files(&extracted.data);
    let skipped: HashSet<&Path> =
        extracted.data.skipped.iter().map(|file| file.path.as_path()).collect();
    for split in Split::ALL {
        require_all_classes(&folder, split, |sample| !skipped.contains(sample.path.as_path()))?;
    }

    let fit_started = Instant::now();
    status.stage("epochs", job.hyperparameters.max_epochs);
    let [train, valid, test] = &extracted.splits;
    let on_epoch = |epoch: &Epoch| {
        log_epoch(epoch);
        status.epoch(epoch);
        Ok(())
    };
    let mut checkpoint = Checkpoint::at(&job.checkpoint_path());
    let Found { fitted, hyperparameters, candidates } = search::fit_best(
        train,
        valid,
        num_classes,
        &job.hyperparameters,
        &Search::default(),
        job.num_workers,
        Some(&mut checkpoint),
        on_epoch,
    )?;
    let temperature = temperature::fit(&fitted.head, valid)?;
    let fit_seconds = fit_started.elapsed().as_secs_f64();
    log::info!(
        "kept learning rate {}, L2 penalty {} of {} candidates, epoch {} of {}; temperature {temperature:.3}; \
         trained in {}",
        hyperparameters.learning_rate,
        hyperparameters.l2_penalty,
        candidates.len(),
        fitted.best_epoch,
        fitted.history.len(),
        seconds(fit_seconds)
    );

    let metrics = SplitMetrics {
        train: evaluate(&fitted.head, train),
        valid: evaluate(&fitted.head, valid),
        test: evaluate(&fitted.head, test),
    };
    warn_if_guessing(&metrics.valid, num_classes);

    status.stage("saving", 0);
    let backbone_bytes = fs::metadata(&weights.path).map_or(0, |metadata| metadata.len());
    let needed_bytes = artifact::saved_bytes(backbone_bytes, num_classes);
    signals::check()?;
    let (state_dict, standing) =
        rayon::join(|| weights.load(), || artifact::load_standing(&job.model_dir));
    let (mut state_dict, standing) = (state_dict?, standing?);
    fitted.head.write_to(&mut state_dict);
    let total_seconds = started.elapsed().as_secs_f64();
    let observed = watch.end(total_seconds);
    let mut metadata = Metadata {
        program: program(),
        created: jiff::Timestamp::now(),
        kind: job.kind,
        description: describe(job.kind).into(),
        architecture: "resnet50".into(),
        model_sha256: String::new(),
        class_names: folder.classes.class_names().to_vec(),
        transform: Transform {
            resize: transform.resize,
            crop: transform.crop,
            mean: transform.mean,
            std: transform.std,
        },
        backbone: BackboneOrigin {
            file: weights.path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            sha256: weights.sha256,
        },
        engine: engine.name().into(),
        train_views: TRAIN_VIEWS,
        hyperparameters,
        candidates,
        temperature: Some(temperature),
        best_epoch: fitted.best_epoch,
        num_epochs: fitted.history.len(),
        metrics,
        promoted: true,
        data: extracted.data,
        host: Host { instance: observed.instance, ..host },
        cost: Cost {
            num_workers: job.num_workers,
            features_seconds,
            fit_seconds,
            total_seconds,
            peak_memory_bytes: host::peak_memory_bytes(),
            cpu: observed.cpu,
            estimate: observed.estimate,
        },
    };
    let verdict = artifact::judge(standing.as_ref(), &metadata);
    report_verdict(verdict, &metrics.test);
    let model_path =
        artifact::publish(&job.model_dir, &state_dict, &mut metadata, &fitted.history, verdict)
            .map_err(|error| disk_space::explain(error, needed_bytes))?;
    // Whatever comes now, the model is safe and the run a success.
    if let Err(error) = checkpoint.remove() {
        log::warn!("{error}");
    }
    log::info!("{}", metadata.cost);
    Ok(Trained { metadata, model_path })
}
