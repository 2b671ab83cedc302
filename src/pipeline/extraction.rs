//! A data set's features, with what was found in its files.

use std::cell::Cell;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::drafting::Drafting;
use super::sharing::Shared;
use crate::artifact::{self, DataSummary};
use crate::config::{
    CHUNK, FEATURES_IN_MEMORY_BYTES, NUM_FEATURES, STORE_UNUSED_BYTES, TRAIN_VIEWS, TrainFrom,
};
use crate::data::FileNote;
use crate::data::image_folder::{ImageFolder, Sample, Split};
use crate::data::leakage::find_leaks;
use crate::data::transform::EvalTransform;
use crate::data::view::ViewTransform;
use crate::disk_space;
use crate::error::{Error, Result};
use crate::features::collect::{Collected, Collection};
use crate::features::extract::{Keep, Request};
use crate::features::file_index::Entry;
use crate::features::prune::prune_files;
use crate::features::recipe::Recipe;
use crate::features::store::{ActivationStore, FeatureStore};
use crate::features::{SplitFeatures, unreadable};
use crate::job::Job;
use crate::model::backbone::{Backbone, Engine};
use crate::model::state_dict::TensorSource;
use crate::model::weights::Weights;
use crate::run::console::Progress;
use crate::run::heap;
use crate::run::status::StatusWriter;

/// Features of every usable image, with what was found on the way.
pub(super) struct Extracted {
    pub(super) train: SplitFeatures,
    pub(super) valid: SplitFeatures,
    pub(super) held_out: HeldOut,
    pub(super) data: DataSummary,
    /// What layer4 is trained on, where it was asked for.
    pub(super) activations: Option<Activations>,
}

/// Valid and test, whose features are read when a head is to be measured.
pub(super) struct HeldOut {
    store: Arc<FeatureStore>,
    valid: Vec<Row>,
    test: Vec<Row>,
    /// As those of train are.
    in_memory: bool,
}

/// A view of a usable image.
struct Row {
    content: blake3::Hash,
    view: u32,
    /// Class id.
    target: usize,
}

/// Layer4's inputs of the train and valid splits.
pub(super) struct Activations {
    pub(super) store: ActivationStore,
    /// Content and view of each row of [`Extracted::train`] and of [`Extracted::valid`].
    pub(super) rows: [Vec<(blake3::Hash, u32)>; 2],
}

/// The weights that compute the features.
pub(super) struct Network<'a> {
    /// Tells them from all others, 64 hex digits.
    pub(super) fingerprint: String,
    /// Opens them, when something has to be computed.
    pub(super) open: &'a dyn Fn() -> Result<Box<dyn TensorSource>>,
    /// Whether layer4's inputs are stored too.
    pub(super) keep: Keep,
    /// What one engine has made of them already, once.
    pub(super) packed: Cell<Option<Backbone>>,
    /// Begins the file of the model that will have these weights.
    pub(super) drafting: Option<&'a Drafting>,
}

impl HeldOut {
    /// Of test, `[N]` class ids.
    pub(super) fn test_targets(&self) -> Vec<usize> {
        self.test.iter().map(|row| row.target).collect()
    }

    /// The features of valid, once more.
    ///
    /// # Errors
    /// When they cannot be read although they could be at first.
    pub(super) fn valid(&self) -> Result<SplitFeatures> {
        self.read(&self.valid)
    }

    /// Those of test.
    ///
    /// # Errors
    /// As [`HeldOut::valid`].
    pub(super) fn test(&self) -> Result<SplitFeatures> {
        self.read(&self.test)
    }

    fn read(&self, rows: &[Row]) -> Result<SplitFeatures> {
        features_of(&self.store, rows, self.in_memory).ok_or_else(|| unreadable(&self.store))
    }
}

impl Network<'_> {
    /// The weights as `engine` wants them.
    ///
    /// # Errors
    /// When they cannot be read; libtorch's.
    pub(super) fn pack(&self, engine: Engine) -> Result<Backbone> {
        let weights = (self.open)()?;
        let packed = self.packed.take().filter(|packed| packed.engine() == engine);
        let pack = || packed.map_or_else(|| Backbone::new(engine, &*weights, CHUNK), Ok);
        let (backbone, rest) = rayon::join(pack, || weights.check_rest());
        let backbone = backbone?;
        rest?;
        weights.require_unchanged()?;
        if let Some(drafting) = self.drafting {
            drafting.begin(weights);
        }
        Ok(backbone)
    }
}

/// What computes the features.
#[derive(Clone, Copy)]
pub(super) struct Workers<'a> {
    pub(super) engine: Engine,
    /// Threads of this process.
    pub(super) num: usize,
    /// The other machines, where there are any.
    pub(super) shared: Option<&'a Shared<'a>>,
}

/// The images whose features are wanted, and of what kind these are.
pub(super) struct Wanted<'a> {
    pub(super) samples: Vec<(Split, &'a Sample)>,
    pub(super) requests: Vec<Request<'a>>,
    pub(super) transform: ViewTransform,
    pub(super) recipe: Recipe,
}

impl<'a> Wanted<'a> {
    pub(super) fn of(
        folder: &'a ImageFolder,
        network: &Network,
        engine: Engine,
        transform: EvalTransform,
    ) -> Result<Self> {
        let samples: Vec<(Split, &Sample)> = Split::ALL
            .iter()
            .flat_map(|&split| folder.samples(split).iter().map(move |sample| (split, sample)))
            .collect();
        let requests = samples
            .iter()
            .map(|&(split, sample)| Request { path: &sample.path, num_views: num_views(split) })
            .collect();
        let transform = ViewTransform::new(transform);
        let recipe = Recipe {
            transform: serde_json::to_value(transform).map_err(|error| {
                Error::Internal(format!("cannot describe the transform: {error}"))
            })?,
            weights_sha256: network.fingerprint.clone(),
            engine: engine.name().into(),
        };
        Ok(Wanted { samples, requests, transform, recipe })
    }
}

/// Takes features from the store, computes what is missing.
pub(super) fn extract_folder(
    job: &Job,
    folder: &ImageFolder,
    weights: &Weights,
    network: &Network,
    workers: Workers,
    transform: EvalTransform,
    status: &StatusWriter,
) -> Result<Extracted> {
    let wanted = Wanted::of(folder, network, workers.engine, transform)?;
    let Wanted { samples, requests, transform, recipe } = &wanted;
    let features_dir = job.features_dir();
    let mut collection = match network.keep {
        Keep::Features => Collection::open(&features_dir, recipe)?,
        Keep::Activations => Collection::open_with_activations(&features_dir, recipe)?,
    };
    prune(job, recipe, &weights.sha256)?;

    let mut collected = Vec::new();
    let mut read = None;
    let mut rows = Default::default();
    // Once more only if features cannot be read back that were there a moment ago.
    for _ in 0..2 {
        let stored = collection.stored(requests);
        require_space(job, folder, weights, &collection, requests, &stored)?;
        let division = workers.shared.map(|shared| shared.divide(stored.clone())).transpose()?;
        let num_missing = if let Some(division) = &division {
            division.log();
            division.num_to_compute()
        } else {
            let num_stored = stored.iter().flatten().count();
            let num_missing = requests.len() - num_stored;
            log::info!("features of {num_stored} images are stored, {num_missing} to compute");
            num_missing
        };
        status.stage("features", num_missing);
        let mut progress = Progress::new("features", "images", num_missing as u64);
        let backbone = || network.pack(workers.engine);
        let on_progress = |done| {
            progress.inc(done as u64);
            status.inc(done);
            Ok(())
        };
        collected = match &division {
            Some(division) => division.compute(&mut collection, &wanted, backbone, on_progress)?,
            None => collection.collect(
                requests,
                stored,
                transform,
                backbone,
                workers.num,
                on_progress,
            )?,
        };
        progress.finish();
        if let Some(division) = &division {
            collected = division.bring_together(&collection, &wanted, collected)?;
        }
        // The features of all images take the place of what computed them.
        heap::trim();
        rows = Split::ALL.map(|split| rows_of(split, samples, &collected));
        let [train, valid, test] = &rows;
        let in_memory = fits_in_memory(train.len() + valid.len());
        let features_of = |rows, in_memory| features_of(collection.store(), rows, in_memory);
        read = features_of(train, in_memory)
            .zip(features_of(valid, in_memory))
            // Those of test are only tried.
            .filter(|_| features_of(test, false).is_some());
        // The other machines do not compute twice.
        if read.is_some() || division.is_some() {
            break;
        }
    }
    let (train, valid) = read.ok_or_else(|| unreadable(collection.store()))?;

    let mut skipped = folder.skipped.clone();
    let mut damaged = Vec::new();
    let mut contents = Vec::new();
    for (&(split, sample), collected) in samples.iter().zip(&collected) {
        let note = |reason| FileNote { path: sample.path.clone(), reason };
        match collected {
            Collected::Used(entry) => {
                contents.push((split, sample.path.as_path(), entry.content));
                damaged.extend(entry.warning.clone().map(note));
            }
            Collected::Skipped(reason) => skipped.push(note(reason.clone())),
        }
    }
    let num_used = |wanted| contents.iter().filter(|(split, ..)| *split == wanted).count();
    let data = DataSummary {
        dir: job.data_dir.clone(),
        fingerprint: fingerprint(folder, &contents),
        test_fingerprint: Some(test_fingerprint(samples, &collected)),
        num_train: num_used(Split::Train),
        num_valid: num_used(Split::Valid),
        num_test: num_used(Split::Test),
        skipped,
        damaged,
        leaks: find_leaks(contents.iter().copied()),
    };
    let [of_train, of_valid, of_test] = rows;
    let store = Arc::clone(collection.store());
    let views = |rows: &[Row]| rows.iter().map(|row| (row.content, row.view)).collect();
    let activations = collection
        .into_activations()
        .map(|store| Activations { store, rows: [&of_train, &of_valid].map(|rows| views(rows)) });
    let in_memory = fits_in_memory(of_train.len() + of_valid.len());
    let held_out = HeldOut { store, valid: of_valid, test: of_test, in_memory };
    Ok(Extracted { train, valid, held_out, data, activations })
}

/// Keeps what this recipe has stored, and what layer4 is trained on while it is.
pub(super) fn prune(job: &Job, recipe: &Recipe, frozen_sha256: &str) -> Result<()> {
    let mut kept = vec![recipe.file_name()?];
    if job.hyperparameters.train_from == TrainFrom::Layer4 {
        let frozen = Recipe { weights_sha256: frozen_sha256.into(), ..recipe.clone() };
        kept.extend([frozen.file_name()?, frozen.file_name_of::<u16>()?]);
    }
    prune_files(&job.features_dir(), &kept, STORE_UNUSED_BYTES)
}

/// The head learns from all views of an image and is measured on the first.
fn num_views(split: Split) -> u32 {
    if split == Split::Train { TRAIN_VIEWS } else { 1 }
}

/// What there is of a split, in the order of the samples.
fn rows_of(wanted: Split, samples: &[(Split, &Sample)], collected: &[Collected]) -> Vec<Row> {
    let mut rows = Vec::new();
    for ((split, sample), collected) in samples.iter().zip(collected) {
        if let Collected::Used(entry) = collected
            && *split == wanted
        {
            let row = |view| Row { content: entry.content, view, target: sample.target };
            rows.extend((0..num_views(wanted)).map(row));
        }
    }
    rows
}

/// Of these rows; `None` where one cannot be read.
fn features_of(store: &Arc<FeatureStore>, rows: &[Row], in_memory: bool) -> Option<SplitFeatures> {
    let targets = rows.iter().map(|row| row.target).collect();
    let rows = rows.iter().map(|row| (row.content, row.view)).collect();
    SplitFeatures::of(store, rows, targets, in_memory)
}

fn fits_in_memory(num_rows: usize) -> bool {
    row_bytes(num_rows) <= FEATURES_IN_MEMORY_BYTES
}

/// Bytes of the features of so many rows.
fn row_bytes(num_rows: usize) -> usize {
    num_rows * NUM_FEATURES * size_of::<f32>()
}

/// 15 million parameters, their velocities, and those of the best epoch, twice while it is replaced.
const LAYER4_CHECKPOINT_BYTES: u64 = 2 * 3 * 4 * 15_300_000;

/// Fails before an hour's work, not after it, when the disk has no room for what the run will write.
fn require_space(
    job: &Job,
    folder: &ImageFolder,
    weights: &Weights,
    collection: &Collection,
    requests: &[Request],
    stored: &[Option<Entry>],
) -> Result<()> {
    let missing = requests.iter().zip(stored).filter(|(_, entry)| entry.is_none());
    let num_missing = missing.map(|(request, _)| u64::from(request.num_views)).sum();
    let backbone_bytes = fs::metadata(&weights.path).map_or(0, |metadata| metadata.len());
    let checkpoint_bytes = match job.hyperparameters.train_from {
        TrainFrom::Head => 0,
        TrainFrom::Layer4 => LAYER4_CHECKPOINT_BYTES,
    };
    let num_rows = |split| folder.samples(split).len() * num_views(split) as usize;
    let num_fitted = num_rows(Split::Train) + num_rows(Split::Valid);
    // In the order in which the search goes through them.
    let ordered_bytes = if fits_in_memory(num_fitted) { 0 } else { row_bytes(num_fitted) as u64 };
    disk_space::require_all(&[
        (&job.model_dir, artifact::saved_bytes(backbone_bytes, folder.classes.len())),
        (job.state_dir(), collection.bytes(num_missing) + checkpoint_bytes + ordered_bytes),
    ])
}

/// BLAKE3 over class and content of every image of test, whatever the files are called.
fn test_fingerprint(samples: &[(Split, &Sample)], collected: &[Collected]) -> String {
    let mut images: Vec<(usize, [u8; blake3::OUT_LEN])> = samples
        .iter()
        .zip(collected)
        .filter_map(|((split, sample), collected)| match collected {
            Collected::Used(entry) if *split == Split::Test => {
                Some((sample.target, *entry.content.as_bytes()))
            }
            _ => None,
        })
        .collect();
    images.sort_unstable();
    let mut hasher = blake3::Hasher::new();
    for (target, content) in images {
        hasher.update(&(target as u64).to_le_bytes());
        hasher.update(&content);
    }
    hasher.finalize().to_hex().to_string()
}

/// BLAKE3 over split, path below its folder and content of every image.
fn fingerprint(folder: &ImageFolder, contents: &[(Split, &Path, blake3::Hash)]) -> String {
    let mut hasher = blake3::Hasher::new();
    for (split, path, content) in contents {
        let path = folder.path_in_data_set(*split, path);
        hasher.update(path.as_os_str().as_encoded_bytes());
        hasher.update(&[0]);
        hasher.update(content.as_bytes());
    }
    hasher.finalize().to_hex().to_string()
}
