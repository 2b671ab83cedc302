//! The features of a data set: from the store as far as they are there, computed where not.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use rayon::prelude::*;

use super::extract::{Keep, Outcome, Request, extract_and_keep};
use super::file_index::{Entry, FileIndex};
use super::recipe::Recipe;
use super::store::{ActivationStore, FeatureStore};
use crate::data::view::ViewTransform;
use crate::disk_space;
use crate::error::Result;
use crate::model::backbone::Backbone;

/// Name of the index in the store's folder.
const INDEX_FILE: &str = "files.jsonl";

/// What the store holds of an image file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Collected {
    /// The features of every view that was asked for.
    Used(Entry),
    /// Nothing: it cannot be read or decoded, for this reason.
    Skipped(String),
}

/// The store of one recipe with what was last found in each file.
#[derive(Debug)]
pub struct Collection {
    store: Arc<FeatureStore>,
    activations: Option<ActivationStore>,
    index: FileIndex,
}

impl Collection {
    /// Opens what is in `dir`, which is created when missing.
    ///
    /// # Errors
    /// [`Error::Io`](crate::error::Error::Io) when files in `dir` can neither be opened nor replaced.
    pub fn open(dir: &Path, recipe: &Recipe) -> Result<Self> {
        let (store, index) = rayon::join(
            || FeatureStore::open(dir, recipe),
            || FileIndex::open(&dir.join(INDEX_FILE)),
        );
        Ok(Collection { store: Arc::new(store?), activations: None, index: index? })
    }

    /// The same, with layer4's input beside the features of each view.
    ///
    /// # Errors
    /// As [`Collection::open`].
    pub fn open_with_activations(dir: &Path, recipe: &Recipe) -> Result<Self> {
        let collection = Collection::open(dir, recipe)?;
        Ok(Collection { activations: Some(ActivationStore::open(dir, recipe)?), ..collection })
    }

    /// The store of features.
    pub fn store(&self) -> &Arc<FeatureStore> {
        &self.store
    }

    /// The store of layer4's inputs, where that was opened.
    pub fn into_activations(self) -> Option<ActivationStore> {
        self.activations
    }

    /// What `num_views` images and views take on disk.
    pub fn bytes(&self, num_views: u64) -> u64 {
        let activations =
            self.activations.as_ref().map_or(0, |_| ActivationStore::bytes(num_views));
        FeatureStore::bytes(num_views) + activations
    }

    /// For each request what is known of the file as it is now, if all that is asked for is stored.
    pub fn stored(&self, requests: &[Request]) -> Vec<Option<Entry>> {
        requests.par_iter().map(|request| self.lookup(request)).collect()
    }

    /// Computes what is missing, on `num_workers` threads, and stores it as it is computed: what is
    /// done by the time the process is killed is not lost. `stored` comes from
    /// [`Collection::stored`]. `on_progress` is called with each number of images just done.
    ///
    /// The result is in the order of the requests. `backbone` is only called when something has to
    /// be computed.
    ///
    /// # Errors
    /// [`Error::Io`](crate::error::Error::Io) when the store cannot be written to, as on a full
    /// disk; libtorch's errors.
    pub fn collect(
        &mut self,
        requests: &[Request],
        stored: Vec<Option<Entry>>,
        transform: &ViewTransform,
        backbone: impl FnOnce() -> Result<Backbone>,
        num_workers: usize,
        mut on_progress: impl FnMut(usize) -> Result<()>,
    ) -> Result<Vec<Collected>> {
        let mut collected: Vec<Option<Collected>> =
            stored.into_iter().map(|entry| entry.map(Collected::Used)).collect();
        let is_pending = |index: &usize| collected[*index].is_none();
        let pending: Vec<usize> = (0..requests.len()).filter(is_pending).collect();
        if !pending.is_empty() {
            let wanted: Vec<Request> = pending.iter().map(|&index| requests[index]).collect();
            let backbone = backbone()?;
            let Collection { store, activations, index } = &mut *self;
            let activations = activations.as_ref();
            let keep = activations.map_or(Keep::Features, |_| Keep::Activations);
            index.reserve(wanted.len());
            store.reserve(wanted.iter().map(|request| request.num_views as usize).sum());
            let is_known = |content: &blake3::Hash, view| holds(store, activations, content, view);
            let on_outcome = |place: usize, outcome: Outcome| {
                let place = pending[place];
                collected[place] = Some(match outcome {
                    Outcome::Used(used) => {
                        for (view, row) in &used.views {
                            store.append(&used.content, *view, row)?;
                        }
                        if let Some(activations) = activations {
                            for ((view, _), row) in used.views.iter().zip(&used.activations) {
                                activations.append(&used.content, *view, row)?;
                            }
                        }
                        let entry = Entry { content: used.content, warning: used.warning };
                        let path = requests[place].path;
                        index.insert(path, &used.metadata, used.read_at, entry.clone())?;
                        Collected::Used(entry)
                    }
                    Outcome::Skipped(reason) => Collected::Skipped(reason),
                });
                on_progress(1)
            };
            let extracted = extract_and_keep(
                keep,
                &wanted,
                is_known,
                transform,
                &backbone,
                num_workers,
                on_outcome,
            );
            // 8 ms during which there is something else to do. Without a thread it is dropped here.
            drop(thread::Builder::new().spawn(move || drop(backbone)));
            // What was computed is kept, whatever ended it.
            let synced = activations.map_or(Ok(()), ActivationStore::sync);
            let ended = extracted.and(store.sync()).and(synced);
            let missing = requests.iter().zip(&collected).filter(|(_, found)| found.is_none());
            let num_missing = missing.map(|(request, _)| u64::from(request.num_views)).sum();
            ended.map_err(|error| disk_space::explain(error, self.bytes(num_missing)))?;
        }
        Ok(collected.into_iter().flatten().collect())
    }

    /// Writes the features of one view of an image to `row`, `[2048]` f32. `false` when they have
    /// become unreadable since they were stored.
    pub fn read(&self, content: &blake3::Hash, view: u32, row: &mut [f32]) -> bool {
        self.store.read(content, view, row)
    }

    /// Whether the features of this view of this image are stored.
    pub fn contains(&self, content: &blake3::Hash, view: u32) -> bool {
        self.store.contains(content, view)
    }

    /// Stores features `[2048]` f32 that another machine computed by the same recipe.
    ///
    /// # Errors
    /// As [`FeatureStore::append`].
    pub fn append(&self, content: &blake3::Hash, view: u32, row: &[f32]) -> Result<()> {
        self.store.append(content, view, row)
    }

    /// Waits until what was appended is on the disk.
    ///
    /// # Errors
    /// As [`FeatureStore::sync`].
    pub fn sync(&self) -> Result<()> {
        self.store.sync()
    }

    fn lookup(&self, request: &Request) -> Option<Entry> {
        let entry = self.index.lookup(request.path, &fs::metadata(request.path).ok()?)?;
        let activations = self.activations.as_ref();
        let is_stored = |view| holds(&self.store, activations, &entry.content, view);
        (0..request.num_views).all(is_stored).then_some(entry)
    }
}

/// Whether all that is wanted of a view of an image is stored.
fn holds(
    features: &FeatureStore,
    activations: Option<&ActivationStore>,
    content: &blake3::Hash,
    view: u32,
) -> bool {
    features.contains(content, view)
        && activations.is_none_or(|activations| activations.contains(content, view))
}
