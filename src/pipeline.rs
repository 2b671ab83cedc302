//! The main job from end to end.

use std::collections::HashSet;
use std::path::Path;
use std::time::Instant;

use crate::artifact::{self, BackboneOrigin, Cost, DataSummary, Metadata, SplitMetrics, Transform};
use crate::atomic_file;
use crate::config::{CHUNK, EXPECTED_NUM_CLASSES, NUM_FEATURES, STORE_UNUSED_BYTES, TRAIN_VIEWS};
use crate::data::FileNote;
use crate::data::image_folder::{ImageFolder, Sample, Split, require_all_classes};
use crate::data::leakage::find_leaks;
use crate::data::transform::EvalTransform;
use crate::data::view::ViewTransform;
use crate::error::{Error, Result};
use crate::evaluate::evaluate;
use crate::features::FeatureMatrix;
use crate::features::collect::{Collected, Collection};
use crate::features::extract::{Outcome, Request};
use crate::features::prune::prune;
use crate::features::recipe::Recipe;
use crate::job::{Job, Kind};
use crate::metrics::Metrics;
use crate::model::backbone::{Backbone, Engine};
use crate::model::weights::Weights;
use crate::predictor::Predictor;
use crate::run::console::{Progress, seconds};
use crate::run::host::{self, Host};
use crate::run::lock::RunLock;
use crate::run::status::StatusWriter;
use crate::run::watch::Watch;
use crate::train::fit::{self, Epoch};

/// Trains, tests and saves, as `job` says.
///
/// # Errors
/// Everything a user can mend is named in the error. The artifacts of the run before are untouched
/// until the new ones are whole.
pub fn train(job: &Job) -> Result<Metadata> {
    atomic_file::create_dir(&job.model_dir)?;
    let _lock = RunLock::acquire(&job.model_dir)?;
    let mut status = StatusWriter::start(&job.model_dir)?;
    let result = train_locked(job, &mut status);
    let error = result.as_ref().err().map(ToString::to_string);
    let ended = status.end(error);
    let metadata = result?;
    ended?;
    Ok(metadata)
}

fn train_locked(job: &Job, status: &mut StatusWriter) -> Result<Metadata> {
    let started = Instant::now();
    let watch = Watch::start();
    let host = Host::detect();
    let engine = Engine::fastest();
    log::info!("{} on {} ({} workers, {engine})", program(), host.cpu_model, job.num_workers);
    announce_sample(job.kind);

    let folder = ImageFolder::scan(&job.data_dir)?;
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

    let weights = Weights::locate(&job.weights_dir, job.weights_file)?;
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
    status.stage("epochs", job.hyperparameters.max_epochs)?;
    let [train, valid, test] = &extracted.splits;
    let on_epoch = |epoch: &Epoch| {
        log_epoch(epoch);
        status.inc(1)
    };
    let fitted =
        fit::fit(train, valid, num_classes, &job.hyperparameters, job.num_workers, on_epoch)?;
    let fit_seconds = fit_started.elapsed().as_secs_f64();
    log::info!(
        "kept epoch {} of {}, trained in {}",
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

    status.stage("saving", 0)?;
    let mut state_dict = weights.load()?;
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
        hyperparameters: job.hyperparameters.clone(),
        best_epoch: fitted.best_epoch,
        num_epochs: fitted.history.len(),
        metrics,
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
    artifact::save(&job.model_dir, &state_dict, &mut metadata, &fitted.history)?;
    log::info!("{}", metadata.cost);
    Ok(metadata)
}

/// The saved model's measures on the test split.
#[derive(Debug)]
pub struct Evaluation {
    /// What model.json says.
    pub metadata: Metadata,
    /// On the images of the test split as they are now.
    pub test: Metrics,
    /// Files of the test split that could not be used.
    pub skipped: Vec<FileNote>,
}

/// Evaluates the saved model of `job` on its test split.
///
/// # Errors
/// As [`train`]; [`Error::BadData`] when the classes on disk are not those of the model.
pub fn evaluate_saved(job: &Job) -> Result<Evaluation> {
    let predictor = Predictor::load(job)?;
    let folder = ImageFolder::scan(&job.data_dir)?;
    if folder.classes.class_names() != predictor.metadata.class_names {
        return Err(Error::bad_data(
            &job.data_dir,
            format!(
                "its {} classes are not the {} classes the model was trained on",
                folder.classes.len(),
                predictor.metadata.class_names.len()
            ),
            "Run `ec2train` to train on this data set, or put the other one back.",
        ));
    }
    let samples = folder.samples(Split::Test);
    let paths: Vec<&Path> = samples.iter().map(|sample| sample.path.as_path()).collect();
    let mut progress = Progress::new("test", "images", paths.len() as u64);
    let outcomes = predictor.extract(&paths, |done| progress.inc(done as u64))?;
    progress.finish();

    let mut features = FeatureMatrix::new(NUM_FEATURES);
    let mut skipped = Vec::new();
    for (sample, outcome) in samples.iter().zip(outcomes) {
        match outcome {
            Outcome::Used(used) => {
                for (_, row) in used.views {
                    features.push(&row, sample.target);
                }
            }
            Outcome::Skipped(reason) => {
                skipped.push(FileNote { path: sample.path.clone(), reason });
            }
        }
    }
    if features.targets.is_empty() {
        let remedy = "`ec2train check` lists what is wrong with each file.";
        return Err(Error::bad_data(job.data_dir.join("test"), "holds no usable image", remedy));
    }
    let test = evaluate(&predictor.head, &features);
    Ok(Evaluation { metadata: predictor.metadata, test, skipped })
}

/// Features of every usable image, with what was found on the way.
struct Extracted {
    /// Train, valid, test.
    splits: [FeatureMatrix; 3],
    data: DataSummary,
}

fn extract_folder(
    job: &Job,
    folder: &ImageFolder,
    weights: &Weights,
    engine: Engine,
    transform: EvalTransform,
    status: &mut StatusWriter,
) -> Result<Extracted> {
    let samples: Vec<(Split, &Sample)> = Split::ALL
        .iter()
        .flat_map(|&split| folder.samples(split).iter().map(move |sample| (split, sample)))
        .collect();
    let requests: Vec<Request> = samples
        .iter()
        .map(|&(split, sample)| Request { path: &sample.path, num_views: num_views(split) })
        .collect();
    let transform = ViewTransform::new(transform);
    let recipe = Recipe {
        transform: serde_json::to_value(transform)
            .map_err(|error| Error::Internal(format!("cannot describe the transform: {error}")))?,
        weights_sha256: weights.sha256.clone(),
        engine: engine.name().into(),
    };
    let features_dir = job.features_dir();
    let mut collection = Collection::open(&features_dir, &recipe)?;
    prune(&features_dir, &[&recipe], STORE_UNUSED_BYTES)?;

    let mut collected = Vec::new();
    let mut splits = None;
    // Once more only if features cannot be read back that were there a moment ago.
    for _ in 0..2 {
        let stored = collection.stored(&requests);
        let num_missing = requests.len() - stored.iter().flatten().count();
        log::info!(
            "features of {} images are stored, {num_missing} to compute",
            requests.len() - num_missing
        );
        status.stage("features", num_missing)?;
        let mut progress = Progress::new("features", "images", num_missing as u64);
        let backbone = || Backbone::new(engine, &weights.load()?, CHUNK);
        collected = collection.collect(
            &requests,
            stored,
            &transform,
            backbone,
            job.num_workers,
            |done| {
                progress.inc(done as u64);
                status.inc(done)
            },
        )?;
        progress.finish();
        splits = read_splits(&collection, &samples, &collected);
        if splits.is_some() {
            break;
        }
    }
    let splits = splits.ok_or_else(|| {
        Error::bad_data(
            &features_dir,
            "features that were just written cannot be read back",
            "The disk may be failing: `dmesg` shows it. The folder can be deleted at any time.",
        )
    })?;

    let mut skipped = folder.skipped.clone();
    let mut damaged = Vec::new();
    let mut contents = Vec::new();
    for (&(split, sample), collected) in samples.iter().zip(collected) {
        let note = |reason| FileNote { path: sample.path.clone(), reason };
        match collected {
            Collected::Used(entry) => {
                contents.push((split, sample.path.as_path(), entry.content));
                damaged.extend(entry.warning.map(note));
            }
            Collected::Skipped(reason) => skipped.push(note(reason)),
        }
    }
    let num_used = |wanted| contents.iter().filter(|(split, ..)| *split == wanted).count();
    let data = DataSummary {
        dir: job.data_dir.clone(),
        fingerprint: fingerprint(&folder.root, &contents),
        num_train: num_used(Split::Train),
        num_valid: num_used(Split::Valid),
        num_test: num_used(Split::Test),
        skipped,
        damaged,
        leaks: find_leaks(contents.iter().copied()),
    };
    Ok(Extracted { splits, data })
}

/// The head learns from all views of an image and is measured on the first.
fn num_views(split: Split) -> u32 {
    if split == Split::Train { TRAIN_VIEWS } else { 1 }
}

/// The features of each split, or `None` if some cannot be read.
fn read_splits(
    collection: &Collection,
    samples: &[(Split, &Sample)],
    collected: &[Collected],
) -> Option<[FeatureMatrix; 3]> {
    let mut splits = Split::ALL.map(|wanted| {
        let num_samples = samples.iter().filter(|(split, _)| *split == wanted).count();
        FeatureMatrix::with_capacity(NUM_FEATURES, num_samples * num_views(wanted) as usize)
    });
    let mut row = [0.0; NUM_FEATURES];
    for (&(split, sample), collected) in samples.iter().zip(collected) {
        let Collected::Used(entry) = collected else { continue };
        for view in 0..num_views(split) {
            if !collection.read(&entry.content, view, &mut row) {
                return None;
            }
            splits[split as usize].push(&row, sample.target);
        }
    }
    Some(splits)
}

/// BLAKE3 over the path below `root` and the content of every image.
fn fingerprint(root: &Path, contents: &[(Split, &Path, blake3::Hash)]) -> String {
    let mut hasher = blake3::Hasher::new();
    for (_, path, content) in contents {
        let path = path.strip_prefix(root).unwrap_or(path);
        hasher.update(path.as_os_str().as_encoded_bytes());
        hasher.update(&[0]);
        hasher.update(content.as_bytes());
    }
    hasher.finalize().to_hex().to_string()
}

fn report_files(data: &DataSummary) {
    for (files, what) in [(&data.skipped, "skipped"), (&data.damaged, "used although damaged")] {
        if !files.is_empty() {
            log::warn!("{} files {what}:", files.len());
            for file in files {
                log::warn!("  {}: {}", file.path.display(), file.reason);
            }
        }
    }
    if !data.leaks.is_empty() {
        log::warn!(
            "{} images of valid or test are in train too, so the measures below flatter the model:",
            data.leaks.len()
        );
        for leak in &data.leaks {
            log::warn!("  {} is {}", leak.held_out.display(), leak.train.display());
        }
    }
}

fn log_epoch(epoch: &Epoch) {
    log::info!(
        "epoch {:3}: train loss {:.4}, top-1 {:5.2} %; valid loss {:.4}, top-1 {:5.2} %, top-5 {:5.2} %",
        epoch.epoch,
        epoch.train.loss,
        100.0 * epoch.train.top1_accuracy,
        epoch.valid.loss,
        100.0 * epoch.valid.top1_accuracy,
        100.0 * epoch.valid.top5_accuracy
    );
}

fn warn_if_guessing(valid: &Metrics, num_classes: usize) {
    let chance = (num_classes as f64).ln();
    if num_classes > 1 && valid.loss >= chance {
        log::warn!(
            "the validation loss {:.4} is no better than guessing ({chance:.4}): the features do \
             not tell these classes apart",
            valid.loss
        );
    }
}

fn announce_sample(kind: Kind) {
    if kind == Kind::Sample {
        log::warn!("{}", describe(kind));
    }
}

fn describe(kind: Kind) -> &'static str {
    match kind {
        Kind::Real => "ResNet50 with a new head, trained on local folders",
        Kind::Sample => {
            "the built-in sample: drawn textures and a constructed backbone that was never \
             trained. It shows the program at work; it knows no dog breeds"
        }
    }
}

fn program() -> String {
    format!("ec2train {}", env!("CARGO_PKG_VERSION"))
}
