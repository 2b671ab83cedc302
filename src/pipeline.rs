//! The main job from end to end.

mod contribution;
mod drafting;
mod evaluation;
mod extraction;
mod fine_tuning;
mod fitting;
mod inputs;
mod report;
mod saving;
mod sharing;
mod standing;

use std::cell::Cell;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use crate::artifact::{self, Metadata, SplitMetrics};
use crate::atomic_file;
use crate::config::{CHUNK, EXPECTED_NUM_CLASSES, TrainFrom};
use crate::data::FileNote;
use crate::data::image_folder::{ImageFolder, Split, require_all_classes};
use crate::data::transform::EvalTransform;
use crate::distributed::{ProcessGroup, Topology};
use crate::error::Result;
use crate::evaluate::evaluate;
use crate::features::SplitFeatures;
use crate::features::extract::Keep;
use crate::job::{Job, Kind};
use crate::known_digests::KnownDigests;
use crate::metrics::Metrics;
use crate::model::backbone::{Backbone, Engine};
use crate::model::state_dict::TensorSource;
use crate::model::weights::Weights;
use crate::run::host::Host;
use crate::run::lock::RunLock;
use crate::run::status::{Model, StatusWriter};
use crate::run::watch::Watch;
use crate::sample;
use crate::telemetry::Journal;
use crate::train::fit::Fitted;
use crate::train::temperature;
use drafting::Drafting;
use extraction::{Extracted, Network, Workers, extract_folder};
use report::{announce_sample, log_temperature, log_test, program, report_files, warn_if_guessing};
use saving::{Finished, discard_checkpoints};
use sharing::Shared;
use standing::StandingModel;

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
/// new one is whole. [`Error::Stopped`](crate::error::Error::Stopped) when the run was asked to end.
pub fn train(job: &Job) -> Result<Trained> {
    train_leading(job, &Topology::single())
}

/// The same on all machines of `topology`, each of which calls this: they divide the images, and rank
/// 0 trains, tests and saves. Elsewhere nothing is returned. The model has the same bytes as on one
/// machine.
///
/// # Errors
/// As [`train`]; [`Error::Peer`](crate::error::Error::Peer) when a machine is missing or does not fit; when
/// one fails or is lost, [`Error::Stopped`](crate::error::Error::Stopped), which names it.
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
        draw_sample(job, group, status)?;
    }
    let digests = Arc::new(KnownDigests::open(&job.digests_path()));
    let Inputs { folder, weights, packed } = find_inputs(job, &digests, engine, status)?;
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
    let class_names = folder.classes.class_names();
    let drafting = Drafting::new(job.model_dir.clone(), class_names.len(), Arc::clone(&digests));
    let is_final = train_from == TrainFrom::Head;
    let frozen = Network {
        fingerprint: weights.sha256.clone(),
        open: &|| weights.open(),
        keep: if is_final { Keep::Features } else { Keep::Activations },
        packed: Cell::new(packed),
        drafting: is_final.then_some(&drafting),
    };
    let mut standing = StandingModel::verify(job.model_dir.clone(), &digests)?;
    let mut extracted =
        extract_folder(job, &folder, &weights, &frozen, workers, transform, status)?;
    let features_seconds = features_started.elapsed().as_secs_f64();
    report_files(&extracted.data);
    require_classes(&folder, &extracted.data.skipped)?;

    let inputs = inputs::digest(job, class_names, &weights, transform, engine, &extracted)?;
    if let Some(inputs) = &inputs
        && let Some(metadata) = standing.of_inputs(inputs)?
    {
        return Ok(leave(job, metadata.clone(), journal));
    }

    drafting.sync();
    let fit = fitting::fit(job, &weights, &mut extracted, class_names.len(), status, journal)?;
    if !fit.tuned.is_empty() {
        let open = || -> Result<Box<dyn TensorSource>> {
            Ok(Box::new(fine_tuning::with(weights.load()?, &fit.tuned)))
        };
        let fingerprint = fine_tuning::fingerprint(&weights, &fit.tuned);
        let trained = Network {
            fingerprint,
            open: &open,
            keep: Keep::Features,
            packed: Cell::default(),
            drafting: Some(&drafting),
        };
        extracted = extract_folder(job, &folder, &weights, &trained, workers, transform, status)?;
    }
    let of_train = if fit.tuned.is_empty() {
        fit.of_train
    } else {
        evaluate(&fit.fitted.head, &extracted.train)?
    };
    let Extracted { train, valid, held_out, data, .. } = extracted;
    // After layer4 they are there again.
    drop((train, valid));
    let test = held_out.test()?;
    let (metrics, temperature) = measure(&fit.fitted, of_train, &held_out.valid()?, &test)?;
    journal.result(fit.fitted.best_epoch, metrics);

    status.stage("saving", 0);
    let draft = drafting.finish(|| Ok(fine_tuning::with(weights.load()?, &fit.tuned)));
    let finished = Finished {
        job,
        folder: &folder,
        weights: &weights,
        digests: &digests,
        transform,
        engine,
        num_workers: workers.num,
        world_size: group.map_or(1, ProcessGroup::world_size),
        host,
        started,
        features_seconds,
        inputs,
        standing: standing.metadata()?,
        fit,
        metrics,
        temperature,
        data,
        test,
    };
    finished.save(draft, watch, journal)
}

/// Draws the built-in sample where it is missing.
fn draw_sample(job: &Job, group: Option<&ProcessGroup>, status: &StatusWriter) -> Result<()> {
    status.stage("drawing the sample", 0);
    sample::ensure(&job.data_dir, &job.weights_dir)?;
    // Only now may others look for it, who may be on the same disk.
    group.map_or(Ok(()), ProcessGroup::meet)
}

struct Inputs {
    folder: ImageFolder,
    weights: Weights,
    /// The weights as the engine wants them, where there was time for it.
    packed: Option<Backbone>,
}

/// Lists the images, finds the weights. Where these have to be hashed, they are packed for `engine` meanwhile; if that
/// fails, it will again when it is needed.
fn find_inputs(
    job: &Job,
    digests: &KnownDigests,
    engine: Engine,
    status: &StatusWriter,
) -> Result<Inputs> {
    status.stage("reading the folders", 0);
    let pack = |tensors: &dyn TensorSource| Backbone::new(engine, tensors, CHUNK).ok();
    let (folder, weights) = rayon::join(
        || ImageFolder::scan_splits(&job.data_dir, &job.split_dirs),
        || Weights::locate_and(&job.weights_dir, job.weights_file, digests, pack),
    );
    let (folder, (weights, packed)) = (folder?, weights?);
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
    Ok(Inputs { folder, weights, packed: packed.flatten() })
}

/// Passes where each split has an image of every class besides those that were skipped.
fn require_classes(folder: &ImageFolder, skipped: &[FileNote]) -> Result<()> {
    let skipped: HashSet<&Path> = skipped.iter().map(|file| file.path.as_path()).collect();
    Split::ALL.iter().try_for_each(|&split| {
        require_all_classes(folder, split, |sample| !skipped.contains(sample.path.as_path()))
    })
}

/// Evaluates the head on valid and test, and fits the temperature on valid.
///
/// # Errors
/// When features cannot be read.
fn measure(
    fitted: &Fitted,
    train: Metrics,
    valid: &SplitFeatures,
    test: &SplitFeatures,
) -> Result<(SplitMetrics, Option<f64>)> {
    let head = &fitted.head;
    let ((valid, test), temperature) = rayon::join(
        || rayon::join(|| evaluate(head, valid), || evaluate(head, test)),
        || temperature::fit(head, valid),
    );
    let (valid, test, temperature) = (valid?, test?, temperature?);
    let metrics = SplitMetrics { train, valid, test };
    log_temperature(temperature);
    warn_if_guessing(&metrics.valid, head.num_classes());
    log_test(&metrics.test);
    Ok((metrics, temperature))
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
