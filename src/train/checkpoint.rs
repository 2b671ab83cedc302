//! A fit on disk, to go on from after the process was ended.
//!
//! ```text
//! magic [8] | BLAKE3 of the rest [32] | key [32] | postcard of the state
//! ```
//!
//! The key is a hash of all that decides how the fit goes on: a file with another key is of another
//! fit. The order of the mini-batches needs no place in it, since it follows from the seed and the
//! number of epochs.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::fit::{Epoch, Hyperparameters};
use super::optimizer::{AdamState, Snapshot};
use crate::atomic_file;
use crate::error::{Action, Error, Result};
use crate::features::SplitFeatures;
use crate::kernels::isa::Isa;

/// The last digit is raised with every change of the layout or of the fit's arithmetic.
const MAGIC: &[u8; 8] = b"ec2fit 3";
/// Time between two writings. An epoch on the dog breeds takes a third of a second, writing its 6 MB
/// to a slow disk half as long.
const INTERVAL: Duration = Duration::from_secs(2);
/// Rows of features that are hashed at once.
const HASHED_ROWS: usize = 512;

/// A fit after its last whole epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct State {
    pub(super) history: Vec<Epoch>,
    pub(super) adam: AdamState,
    /// From 1.
    pub(super) best_epoch: usize,
    /// After the best epoch.
    pub(super) best: Snapshot,
}

/// The file in which a fit's state is kept.
#[derive(Debug)]
pub struct Checkpoint {
    path: PathBuf,
    interval: Duration,
    written: Instant,
}

impl Checkpoint {
    /// At `path`, written at the end of an epoch when it was last written two seconds before, and
    /// when the run is asked to end.
    pub fn at(path: &Path) -> Self {
        Checkpoint { interval: INTERVAL, ..Checkpoint::after_every_epoch(path) }
    }

    /// At `path`, written at the end of every epoch.
    pub fn after_every_epoch(path: &Path) -> Self {
        Checkpoint { path: path.to_path_buf(), interval: Duration::ZERO, written: Instant::now() }
    }

    /// Deletes the file, if it is there: its model is safe.
    ///
    /// # Errors
    /// [`Error::Io`] with the path.
    pub fn remove(&self) -> Result<()> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Error::io(Action::Write, &self.path)(error))
            }
            _ => Ok(()),
        }
    }

    /// The state of the fit with this key; `None` when the file is missing, damaged or another
    /// fit's, which is logged.
    pub(super) fn read<S: DeserializeOwned>(&self, key: &blake3::Hash) -> Option<S> {
        let bytes = match fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    log::warn!("{}: {error}: the fit begins anew", self.path.display());
                }
                return None;
            }
        };
        match decode(&bytes, key) {
            Ok(state) => Some(state),
            Err(reason) => {
                log::info!("{}: {reason}: the fit begins anew", self.path.display());
                None
            }
        }
    }

    /// Writes `state` if it is time.
    pub(super) fn offer(&mut self, key: &blake3::Hash, state: &State) {
        if self.written.elapsed() >= self.interval {
            self.write(key, state);
        }
    }

    /// Writes `state`. A failure is logged: it costs epochs, should the process be ended, but the
    /// fit can go on.
    pub(super) fn write(&mut self, key: &blake3::Hash, state: &impl Serialize) {
        let written = encode(key, state).and_then(|(head, body)| {
            atomic_file::replace(&self.path, |file| {
                file.write_all(&head)?;
                file.write_all(&body)
            })
        });
        if let Err(error) = written {
            log::warn!("no checkpoint of the fit: {error}");
        }
        self.written = Instant::now();
    }
}

/// A hash of all that decides on a fit.
pub(crate) fn key(
    train: &SplitFeatures,
    valid: &SplitFeatures,
    num_classes: usize,
    hyperparameters: &Hyperparameters,
) -> Result<blake3::Hash> {
    let mut hasher = blake3::Hasher::new();
    let program = (env!("CARGO_PKG_VERSION"), Isa::fastest().name());
    let described = postcard::to_stdvec(&(program, num_classes, hyperparameters))
        .map_err(|error| Error::Internal(format!("cannot describe the fit: {error}")))?;
    hasher.update(&described);
    for split in [train, valid] {
        for size in [split.num_features(), split.targets().len()] {
            hasher.update(&(size as u64).to_le_bytes());
        }
        // 55 MB for the dog breeds, by all threads, in this machine's order of bytes.
        split.for_each_chunk(HASHED_ROWS, |rows, _| {
            hasher.update_rayon(bytemuck::cast_slice(rows));
            Ok(())
        })?;
        hasher.update(bytemuck::cast_slice(split.targets()));
    }
    Ok(hasher.finalize())
}

/// The head of the file, and what its hash is taken of.
fn encode(key: &blake3::Hash, state: &impl Serialize) -> Result<(Vec<u8>, Vec<u8>)> {
    let body = postcard::to_extend(state, key.as_bytes().to_vec())
        .map_err(|error| Error::Internal(format!("cannot write the fit's state: {error}")))?;
    let head = [MAGIC.as_slice(), blake3::hash(&body).as_bytes()].concat();
    Ok((head, body))
}

fn decode<S: DeserializeOwned>(bytes: &[u8], key: &blake3::Hash) -> Result<S, &'static str> {
    let damaged = "is damaged";
    let rest = bytes.strip_prefix(MAGIC).ok_or("is of another version")?;
    let (hash, body) = rest.split_first_chunk::<{ blake3::OUT_LEN }>().ok_or(damaged)?;
    if blake3::hash(body) != *hash {
        return Err(damaged);
    }
    let state = body.strip_prefix(key.as_bytes()).ok_or("is of other features or settings")?;
    postcard::from_bytes(state).map_err(|_| damaged)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> State {
        State {
            history: Vec::new(),
            adam: AdamState::default(),
            best_epoch: 3,
            best: Snapshot { weights: vec![vec![-0.0, f32::MIN_POSITIVE]], bias: vec![1.5] },
        }
    }

    #[test]
    fn a_state_is_read_back_bit_by_bit_and_only_by_its_own_fit() {
        let dir = tempfile::tempdir().unwrap();
        let mut checkpoint = Checkpoint::at(&dir.path().join("fit"));
        let (own, other) = (blake3::hash(b"own"), blake3::hash(b"other"));
        assert_eq!(checkpoint.read::<State>(&own), None);
        checkpoint.offer(&own, &state());
        assert_eq!(checkpoint.read::<State>(&own), None, "it is too early");
        checkpoint.write(&own, &state());
        let read: State = checkpoint.read(&own).unwrap();
        assert_eq!(read, state());
        assert!(read.best.weights[0][0].is_sign_negative());
        assert_eq!(checkpoint.read::<State>(&other), None);
        checkpoint.remove().unwrap();
        checkpoint.remove().unwrap();
        assert_eq!(checkpoint.read::<State>(&own), None);
    }

    #[test]
    fn a_file_with_any_byte_changed_or_cut_off_is_ignored() {
        let key = blake3::hash(b"own");
        let (head, body) = encode(&key, &state()).unwrap();
        let mut bytes = [head, body].concat();
        assert!(decode::<State>(&bytes, &key).is_ok());
        for index in 0..bytes.len() {
            bytes[index] ^= 1;
            assert!(decode::<State>(&bytes, &key).is_err(), "byte {index}");
            bytes[index] ^= 1;
            assert!(decode::<State>(&bytes[..index], &key).is_err(), "cut at {index}");
        }
    }
}
