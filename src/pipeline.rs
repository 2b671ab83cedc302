//! The main job from end to end.

mod contribution;
mod evaluation;
mod extraction;
mod fine_tuning;
mod fitting;
mod inputs;
mod report;
mod sharing;

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::artifact::{self, BackboneOrigin, Cost, Metadata, SplitMetrics, Transform};
use crate::atomic_file;
use crate::config::{EXPECTED_NUM_CLASSES, TRAIN_VIEWS, TrainFrom};
use crate::data::image_folder::{ImageFolder, Split, require_all_classes};
use crate::data::transform::EvalTransform;
use crate::disk_space;
use crate::distributed::{ProcessGroup, Topology};
use crate::error::Result;
use crate::evaluate::evaluate;
use crate::features::extract::Keep;
use crate::job::{Job, Kind};
use crate::model::backbone::Engine;
use crate::model::weights::Weights;
use crate::report::RunRecord;
use crate::run::host::{self, Host};
use crate::run::lock::RunLock;
use crate::run::signals;
use crate::run::status::{Model, StatusWriter};
use crate::run::watch::Watch;
use crate::sample;
use crate::telemetry::Journal;
use crate::train::checkpoint::Checkpoint;
use crate::train::temperature;
use extraction::{Network, Workers, extract_folder};
use fitting::Fit;
use report::{
    announce_sample, describe, log_temperature, log_test, program, report_files, report_verdict,
    warn_if_guessing,
};
use sharing::Shared;

pub use evaluation::{Evaluation, evaluate_saved};

/// What a training made.
#[derive(Debug)]
pub struct Trained {
    /// What its model.json says.
    pub metadata: Metadata,
    /// Its model.pth, in a folder of this training's own.
    pub model_path: PathBuf,
    /// Whether it was made by this run. If not, it is the standing model, which this run would have
    /// made again.
    pub is_new: bool,
}

/// Trains, tests and saves, as `job` says. Goes on from where an earlier run of the same job was
/// stopped or killed, to the same bytes of model.pth; leaves a standing model that has those bytes.
///
/// # Errors
/// Everything a user can mend is named in the error. The model of the run before stands until the
/// new one is whole. [`Error::Stopped`](crate::Error::Stopped) when the run was asked to end.
pub fn train(job: &Job) -> Result<Trained> {
    train_leading(job, &Topology::single())
}

/// The same on all machines of `topology`, each of which calls this: they divide the images, and rank
/// 0 trains, tests and saves. Elsewhere nothing is returned. The model has the same bytes as on one
/// machine.
///
/// # Errors
/// As [`train`]; [`Error::Peer`](crate::Error::Peer) when a machine is missing or does not fit; when
/// one fails or is lost, [`Error::Stopped`](crate::Error::Stopped), which names it.
pub fn train_on(job: &Job, topology: &Topology) -> Result<Option<Trained>> {
    if topology.world_size > 1 {
        fine_tuning::require_one_machine(job)?;
    }
    if topology.rank == 0 {
        return train_leading(job, topology).map(Some);
    }
    contribution::contribute(&job.of_rank(topology.rank), topology).map(|()| None)
}

/// As the only machine, or as rank 0.
fn train_leading(job: &Job, topology: &Topology) -> Result<Trained> {
    atomic_file::create_dir(&job.model_dir)?;
    atomic_file::create_dir(job.state_dir())?;
    let _lock = RunLock::acquire(job.state_dir())?;
    let runs_dir = artifact::runs_dir(&job.model_dir);
    for dir in [&job.model_dir, &runs_dir, job.state_dir(), &job.features_dir()] {
        atomic_file::remove_leftovers(dir)?;
    }
    let status = StatusWriter::start(&job.model_dir);
    let journal = Journal::start(&job.model_dir, job.kind, program());
    let result = if topology.world_size == 1 {
        train_locked(job, None, &status, &journal)
    } else {
        status.stage("waiting for the other machines", 0);
        ProcessGroup::join(topology).and_then(|group| {
            let result = train_locked(job, Some(&group), &status, &journal);
            group.end(result)
        })
    };
    journal.end(result.as_ref().map(|trained| trained.metadata.promoted));
    status.end(result.as_ref().map(|trained| Model {
        path: trained.model_path.clone(),
        promoted: trained.metadata.promoted,
        metrics: trained.metadata.metrics,
    }));
    result
}

fn train_locked(
    job: &Job,
    group: Option<&ProcessGroup>,
    status: &StatusWriter,
    journal: &Journal,
) -> Result<Trained> {
    let started = Instant::now();
    let watch = Watch::start();
    watch.recorder().observe(journal.clone());
    status.record_stages(watch.recorder().clone());
    let host = Host::detect();
    let engine = Engine::fastest();
    log::info!("{} on {} ({} workers, {engine})", program(), host.cpu_model, job.num_workers);
    fine_tuning::require_support(job)?;
    announce_sample(job.kind);
    if job.kind == Kind::Sample {
        status.stage("drawing the sample", 0);
        sample::ensure(&job.data_dir, &job.weights_dir)?;
        // Only now may others look for it, who may be on the same disk.
        group.map_or(Ok(()), ProcessGroup::meet)?;
    }

    status.stage("reading the folders", 0);
    // At once: in a run with nothing new to compute, hashing the two models takes the longest.
    let ((folder, standing), weights) = rayon::join(
        || {
            let folder = ImageFolder::scan_splits(&job.data_dir, &job.split_dirs);
            (folder, artifact::load_standing(&job.model_dir))
        },
        || Weights::locate(&job.weights_dir, job.weights_file),
    );
    let (folder, standing, weights) = (folder?, standing?, weights?);
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

    let num_cpus = job.num_workers;
    let shared =
        group.map(|group| Shared::agree(group, &folder, &weights, engine, num_cpus)).transpose()?;
    let workers =
        shared.as_ref().map_or(Workers { engine, num: num_cpus, shared: None }, |shared| Workers {
            engine: shared.engine,
            num: shared.num_workers,
            shared: Some(shared),
        });
    let engine = workers.engine;
    let features_started = Instant::now();
    let train_from = job.hyperparameters.train_from;
    let frozen = Network {
        fingerprint: weights.sha256.clone(),
        load: &|| weights.load(),
        keep: if train_from == TrainFrom::Head { Keep::Features } else { Keep::Activations },
    };
    let mut extracted =
        extract_folder(job, &folder, &weights, &frozen, workers, transform, status)?;
    let features_seconds = features_started.elapsed().as_secs_f64();
    report_files(&extracted.data);
    let skipped: HashSet<&Path> =
        extracted.data.skipped.iter().map(|file| file.path.as_path()).collect();
    for split in Split::ALL {
        require_all_classes(&folder, split, |sample| !skipped.contains(sample.path.as_path()))?;
    }

    let class_names = folder.classes.class_names();
    let inputs = inputs::digest(job, class_names, &weights, transform, engine, &extracted)?;
    if let Some(metadata) = standing.clone().filter(|it| inputs.is_some() && it.inputs == inputs) {
        return Ok(leave(job, metadata, journal));
    }

    let Fit { fitted, search, tuned, seconds: fit_seconds } =
        fitting::fit(job, &weights, &mut extracted, num_classes, status, journal)?;
    if !tuned.is_empty() {
        let load = || Ok(fine_tuning::with(weights.load()?, &tuned));
        let fingerprint = fine_tuning::fingerprint(&weights, &tuned);
        let trained = Network { fingerprint, load: &load, keep: Keep::Features };
        extracted = extract_folder(job, &folder, &weights, &trained, workers, transform, status)?;
    }
    let [train, valid, test] = &extracted.splits;
    let metrics = SplitMetrics {
        train: evaluate(&fitted.head, train),
        valid: evaluate(&fitted.head, valid),
        test: evaluate(&fitted.head, test),
    };
    let temperature = temperature::fit(&fitted.head, valid);
    log_temperature(temperature);
    warn_if_guessing(&metrics.valid, num_classes);
    log_test(&metrics.test);
    journal.result(fitted.best_epoch, metrics);
    // The others make room for the weights, which would otherwise be the most that a run needs.
    let [train, valid, test] = extracted.splits;
    drop((train, valid));

    status.stage("saving", 0);
    let backbone_bytes = fs::metadata(&weights.path).map_or(0, |metadata| metadata.len());
    let needed_bytes = artifact::saved_bytes(backbone_bytes, num_classes);
    signals::check()?;
    let mut state_dict = fine_tuning::with(weights.load()?, &tuned);
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
        inputs,
        class_names: class_names.to_vec(),
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
        train_from,
        hyperparameters: job.hyperparameters.clone(),
        search,
        temperature,
        best_epoch: fitted.best_epoch,
        num_epochs: fitted.history.len(),
        metrics,
        promoted: true,
        data: extracted.data,
        host: Host { instance: observed.instance, ..host },
        cost: Cost {
            num_workers: workers.num,
            world_size: group.map_or(1, ProcessGroup::world_size),
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
    let history = &fitted.history;
    let head = &fitted.head;
    let (timeline, folder, standing) = (&observed.timeline, &folder, standing.as_ref());
    let add_files = |dir: &Path, metadata: &Metadata| {
        journal.write_files(dir, history, verdict.is_promoted());
        let run = RunRecord { metadata, history, timeline, folder, test: &test, head, standing };
        crate::report::write(dir, &run);
    };
    let model_path =
        artifact::publish(&job.model_dir, &state_dict, &mut metadata, history, verdict, add_files)
            .map_err(|error| disk_space::explain(error, needed_bytes))?;
    discard_checkpoints(job);
    log::info!("{}", metadata.cost);
    Ok(Trained { metadata, model_path, is_new: true })
}

/// Leaves the standing model, which this run would have made again.
fn leave(job: &Job, metadata: Metadata, journal: &Journal) -> Trained {
    log::info!(
        "nothing has changed since {}, when the standing model was trained: it stays as it is",
        metadata.created.strftime("%F %T UTC")
    );
    log_test(&metadata.metrics.test);
    journal.result(metadata.best_epoch, metadata.metrics);
    discard_checkpoints(job);
    let model_path = artifact::model_path(&job.model_dir);
    Trained { metadata, model_path, is_new: false }
}

/// Deletes what a killed run would have gone on from. The model is safe and the run a success, whatever
/// comes of this.
fn discard_checkpoints(job: &Job) {
    for path in [job.checkpoint_path(), job.layer4_checkpoint_path()] {
        if let Err(error) = Checkpoint::at(&path).remove() {
            log::warn!("{error}");
        }
    }
}
