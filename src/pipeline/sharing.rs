//! The features of a data set from several machines.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::extraction::Wanted;
use super::report::program;
use crate::config::{EXCHANGE_BYTES, NUM_FEATURES};
use crate::data::image_folder::{ImageFolder, Split};
use crate::distributed::{Claim, Listing, ProcessGroup, agree, divide};
use crate::error::{Error, Result};
use crate::features::collect::{Collected, Collection};
use crate::features::extract::Request;
use crate::features::file_index::Entry;
use crate::model::backbone::{Backbone, Engine};
use crate::model::weights::Weights;

/// Bytes of an image's features in one view.
const ROW_BYTES: usize = NUM_FEATURES * size_of::<f32>();

/// What all machines have agreed on.
pub(super) struct Shared<'a> {
    group: &'a ProcessGroup,
    /// The engine of all.
    pub(super) engine: Engine,
    /// Of this machine's CPUs those that are this process's.
    pub(super) num_workers: usize,
    keys: Vec<blake3::Hash>,
}

/// Which rank has or computes the features of each image.
pub(super) struct Division<'a> {
    shared: &'a Shared<'a>,
    ranks: Vec<usize>,
    /// Of each of this rank's images what is known of it here.
    stored: Vec<Option<Entry>>,
    /// Images whose features no rank has.
    num_missing: usize,
}

/// What a rank found in an image file.
#[derive(Serialize, Deserialize)]
enum Found {
    Used { content: [u8; blake3::OUT_LEN], warning: Option<String> },
    Skipped(String),
}

impl<'a> Shared<'a> {
    /// Compares data set, weights and program of all machines, and this one's fastest `engine` with
    /// theirs.
    ///
    /// # Errors
    /// As [`agree`].
    pub(super) fn agree(
        group: &'a ProcessGroup,
        folder: &ImageFolder,
        weights: &Weights,
        engine: Engine,
        num_cpus: usize,
    ) -> Result<Self> {
        let listing = listing(folder);
        let claim = Claim {
            program: program(),
            weights_sha256: weights.sha256.clone(),
            listing: listing.digest(),
            engine: engine.name().into(),
        };
        let engine = agree(group, &claim, &listing, &folder.root, engine)?;
        let num_workers = group.share_of_cpus(num_cpus);
        Ok(Shared { group, engine, num_workers, keys: listing.keys() })
    }

    /// Divides the images, of which `stored` are known here.
    ///
    /// # Errors
    /// When a machine is lost; [`Error::Stopped`].
    pub(super) fn divide(&self, stored: Vec<Option<Entry>>) -> Result<Division<'_>> {
        let mut own = (self.num_workers as u64).to_le_bytes().to_vec();
        own.extend(stored.iter().map(|entry| u8::from(entry.is_some())));
        let read = |bytes: &Vec<u8>| {
            let (num_workers, stored) = bytes.split_first_chunk()?;
            let stored: Vec<bool> = stored.iter().map(|&byte| byte != 0).collect();
            (stored.len() == self.keys.len())
                .then_some((stored, u64::from_le_bytes(*num_workers) as usize))
        };
        let all: Option<(Vec<_>, Vec<_>)> = self.group.all_gather(own)?.iter().map(read).collect();
        let (all_stored, num_workers) =
            all.ok_or_else(|| Error::Internal("a peer divides other images".into()))?;
        let ranks = divide(&self.keys, &all_stored, &num_workers);
        let is_missing = |image: &usize| !all_stored.iter().any(|stored| stored[*image]);
        let num_missing = (0..self.keys.len()).filter(is_missing).count();
        let own = self.group.rank();
        let stored = stored.into_iter().zip(&ranks).filter(|(_, rank)| **rank == own);
        let stored = stored.map(|(entry, _)| entry).collect();
        Ok(Division { shared: self, ranks, stored, num_missing })
    }
}

impl Division<'_> {
    /// Images that this rank has to compute.
    pub(super) fn num_to_compute(&self) -> usize {
        self.stored.iter().filter(|entry| entry.is_none()).count()
    }

    /// Their views.
    pub(super) fn num_views_to_compute(&self, wanted: &Wanted) -> u64 {
        let missing = self.own().zip(&self.stored).filter(|(_, entry)| entry.is_none());
        missing.map(|(image, _)| u64::from(wanted.requests[image].num_views)).sum()
    }

    /// Says what is stored and what is not.
    pub(super) fn log(&self) {
        log::info!(
            "features of {} images are stored on some machine, {} to compute, {} of them by this one",
            self.ranks.len() - self.num_missing,
            self.num_missing,
            self.num_to_compute()
        );
    }

    /// Computes what is missing of this rank's share, and returns all of that share.
    ///
    /// # Errors
    /// As [`Collection::collect`].
    pub(super) fn compute(
        &self,
        collection: &mut Collection,
        wanted: &Wanted,
        backbone: impl FnOnce() -> Result<Backbone>,
        mut on_progress: impl FnMut(usize) -> Result<()>,
    ) -> Result<Vec<Collected>> {
        let group = self.shared.group;
        let requests: Vec<Request> = self.own().map(|image| wanted.requests[image]).collect();
        let num_to_compute = self.num_to_compute();
        let mut num_done = 0;
        group.progress(num_done, num_to_compute);
        let on_done = |done| {
            num_done += done;
            group.progress(num_done, num_to_compute);
            on_progress(done)
        };
        let (stored, num_workers) = (self.stored.clone(), self.shared.num_workers);
        collection.collect(&requests, stored, &wanted.transform, backbone, num_workers, on_done)
    }

    /// Waits for all ranks and gives what `found` says, of this rank's share, to rank 0. There all images
    /// are returned and their features are in `collection`; elsewhere nothing is returned.
    ///
    /// # Errors
    /// [`Error::BadData`] when features cannot be read that were there a moment ago; when a machine is
    /// lost; [`Error::Stopped`].
    pub(super) fn bring_together(
        &self,
        collection: &Collection,
        wanted: &Wanted,
        found: Vec<Collected>,
    ) -> Result<Vec<Collected>> {
        let group = self.shared.group;
        group.meet()?;
        let begun = Instant::now();
        let before = group.num_bytes();
        let mut contents = HashMap::new();
        for (image, found) in self.own().zip(&found) {
            if let Collected::Used(entry) = found {
                contents.insert(image, entry.content);
            }
        }
        let found: Vec<(usize, Found)> =
            self.own().zip(found.into_iter().map(Found::from)).collect();
        let images = self.gather_images(&found)?;
        // Those whose features rank 0 has to be given.
        let lacks = |(image, found): (usize, &Option<Collected>)| match found {
            Some(Collected::Used(entry)) => {
                let views = 0..wanted.requests[image].num_views;
                u8::from(views.into_iter().any(|view| !collection.contains(&entry.content, view)))
            }
            _ => 0,
        };
        let lacking = group.broadcast(images.iter().enumerate().map(lacks).collect())?;
        self.gather_rows(collection, wanted, &contents, &images, &lacking)?;
        log::info!(
            "{:.2} MB exchanged with the other machines in {:.2} s",
            (group.num_bytes() - before) as f64 / 1e6,
            begun.elapsed().as_secs_f64()
        );
        if group.rank() != 0 {
            return Ok(Vec::new());
        }
        let all: Option<Vec<Collected>> = images.into_iter().collect();
        all.ok_or_else(|| Error::Internal("no rank has told of an image".into()))
    }

    /// At rank 0 what all ranks found.
    fn gather_images(&self, found: &[(usize, Found)]) -> Result<Vec<Option<Collected>>> {
        let found = postcard::to_stdvec(found)
            .map_err(|error| Error::Internal(format!("cannot write to rank 0: {error}")))?;
        let mut images = vec![None; self.ranks.len()];
        for bytes in self.shared.group.gather(found)? {
            let found: Vec<(usize, Found)> = postcard::from_bytes(&bytes).map_err(|error| {
                Error::Internal(format!("a peer cannot be understood: {error}"))
            })?;
            for (image, found) in found {
                if let Some(place) = images.get_mut(image) {
                    *place = Some(found.into());
                }
            }
        }
        Ok(images)
    }

    /// Stores at rank 0 the features of the images that it is `lacking`, a block of each rank's at a
    /// time.
    fn gather_rows(
        &self,
        collection: &Collection,
        wanted: &Wanted,
        contents: &HashMap<usize, blake3::Hash>,
        images: &[Option<Collected>],
        lacking: &[u8],
    ) -> Result<()> {
        let group = self.shared.group;
        let mut rows: Vec<Vec<(usize, u32)>> = vec![Vec::new(); group.world_size()];
        for (image, &rank) in self.ranks.iter().enumerate() {
            if lacking.get(image) == Some(&1) {
                let views = 0..wanted.requests[image].num_views;
                rows[rank].extend(views.map(|view| (image, view)));
            }
        }
        let block_len = (EXCHANGE_BYTES / ROW_BYTES / rows.len()).max(1);
        let num_rows = rows.iter().map(Vec::len).max().unwrap_or(0);
        let mut row = vec![0.0; NUM_FEATURES];
        for begin in (0..num_rows).step_by(block_len) {
            let block = |rank: usize| {
                let rows = &rows[rank];
                &rows[begin.min(rows.len())..(begin + block_len).min(rows.len())]
            };
            let own = block(group.rank());
            let mut bytes = Vec::with_capacity(own.len() * ROW_BYTES);
            for (image, view) in own {
                let is_read =
                    contents.get(image).is_some_and(|it| collection.read(it, *view, &mut row));
                if !is_read {
                    return Err(unreadable(wanted.requests[*image].path));
                }
                bytes.extend(row.iter().flat_map(|value| value.to_le_bytes()));
            }
            for (rank, bytes) in group.gather(bytes)?.iter().enumerate() {
                let received: &[[u8; ROW_BYTES]] = bytes.as_chunks().0;
                for ((image, view), received) in block(rank).iter().zip(received) {
                    let Some(Collected::Used(entry)) = &images[*image] else { continue };
                    for (value, bytes) in row.iter_mut().zip(received.as_chunks().0) {
                        *value = f32::from_le_bytes(*bytes);
                    }
                    collection.append(&entry.content, *view, &row)?;
                }
            }
        }
        collection.sync()
    }

    /// This rank's images.
    fn own(&self) -> impl Iterator<Item = usize> {
        let own = self.shared.group.rank();
        let ranks = self.ranks.iter().enumerate();
        ranks.filter(move |(_, rank)| **rank == own).map(|(image, _)| image)
    }
}

impl From<Collected> for Found {
    fn from(collected: Collected) -> Self {
        match collected {
            Collected::Used(Entry { content, warning }) => {
                Found::Used { content: *content.as_bytes(), warning }
            }
            Collected::Skipped(reason) => Found::Skipped(reason),
        }
    }
}

impl From<Found> for Collected {
    fn from(found: Found) -> Self {
        match found {
            Found::Used { content, warning } => {
                Collected::Used(Entry { content: blake3::Hash::from_bytes(content), warning })
            }
            Found::Skipped(reason) => Collected::Skipped(reason),
        }
    }
}

/// Every image with its size; 0 where it cannot be told, as of a file that was just deleted.
fn listing(folder: &ImageFolder) -> Listing {
    let mut listing = Listing::default();
    for split in Split::ALL {
        for sample in folder.samples(split) {
            let path = folder.path_in_data_set(split, &sample.path);
            let num_bytes = fs::metadata(&sample.path).map_or(0, |metadata| metadata.len());
            listing.push(&path, sample.target, num_bytes);
        }
    }
    listing
}

fn unreadable(image: &Path) -> Error {
    Error::bad_data(
        image,
        "its features, which were just written, cannot be read back",
        "The disk may be failing: `dmesg` shows it. Start again: they are computed anew.",
    )
}
