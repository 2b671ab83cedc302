//! Features or activations on disk: one file per recipe, found by the image's content.
//!
//! The file is a header followed by records of one fixed length, each with a checksum of its own.
//! That is what makes it safe without a log: a record that a crash, a full disk or a bad sector
//! spoiled costs only itself, since the next one starts where it always would. What is damaged is
//! not indexed and so computed again, into the same place: the file never holds more records than
//! there were images and views. Checksums are compared when the file is opened, for `contains` to be an
//! answer one can rely on, and again by every `read`: both together cost 2 us a record.
//!
//! Records are read by position, not mapped into memory, where a file that another process cuts off
//! would end this one by SIGBUS.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::marker::PhantomData;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use rayon::prelude::*;

use crate::atomic_file;
use crate::error::{Action, Error, Result};
use crate::run::signals;

pub use super::recipe::Recipe;
pub use super::record::Element;
use super::record::{Key, Record};

/// The pooled features of one recipe.
pub type FeatureStore = Store<f32>;
/// The activations of one recipe where layer4 begins, `[14, 14, 1024]` in the bits of bf16.
pub type ActivationStore = Store<u16>;

/// The rows of one recipe, features or activations. One thread writes at a time; any number may read meanwhile.
///
/// A second process that writes to the same file makes both lose records, but never read a wrong
/// one: a record says whose it is. The file may be deleted between runs, and during one too: what
/// is computed until that run's end is then computed again by the next.
#[derive(Debug)]
pub struct Store<E> {
    path: PathBuf,
    file: File,
    header_bytes: u64,
    index: RwLock<Index>,
    element: PhantomData<fn() -> E>,
}

/// Records that one thread reads one after the other.
const SLOTS: usize = 64;

/// Which record is where: 41 bytes a record and the slack of a hash table.
#[derive(Debug, Default)]
struct Index {
    slots: HashMap<Key, u32>,
    /// Places of records that are damaged or there twice, the next one to be filled last.
    free: Vec<u32>,
    num_slots: u32,
}

impl<E: Element> Store<E> {
    /// Opens the features of `recipe` in `dir`, which is created when missing. Every record is read
    /// once, on all threads.
    ///
    /// A file that does not begin with the recipe's header is replaced and a warning logged.
    ///
    /// # Errors
    /// [`Error::Io`] when the file can neither be opened nor replaced; [`Error::Stopped`].
    pub fn open(dir: &Path, recipe: &Recipe) -> Result<Self> {
        atomic_file::create_dir(dir)?;
        let path = dir.join(recipe.file_name_of::<E>()?);
        let header = recipe.header::<E>()?;
        let file = match open_existing(&path, &header) {
            Ok(Some(file)) => file,
            Ok(None) => {
                atomic_file::replace(&path, |file| file.write_all(&header))?;
                OpenOptions::new()
                    .read(true)
                    .write(true)
                    .open(&path)
                    .map_err(Error::io(Action::Read, &path))?
            }
            Err(error) => return Err(Error::io(Action::Write, &path)(error)),
        };
        let mut store = Store {
            path,
            file,
            header_bytes: header.len() as u64,
            index: RwLock::default(),
            element: PhantomData,
        };
        let index = store.scan()?;
        store.index = RwLock::new(index);
        Ok(store)
    }

    /// Number of images and views whose features are there.
    pub fn len(&self) -> usize {
        self.read_index().slots.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Makes room in the index for more: growing as they come would take half as much memory again.
    pub fn reserve(&self, num_views: usize) {
        self.write_index().slots.reserve(num_views);
    }

    /// What the features of `num_views` images and views take on disk.
    pub fn bytes(num_views: u64) -> u64 {
        num_views * E::RECORD_BYTES as u64
    }

    /// Where the features lie.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the features of this view of this image are there, whole when the file was opened.
    pub fn contains(&self, content: &blake3::Hash, view: u32) -> bool {
        self.read_index().slots.contains_key(&Key { content: *content.as_bytes(), view })
    }

    /// Writes the features of this view of this image to `row`, every bit as it was
    /// appended. `false` when they are not there, or have become unreadable since the file was
    /// opened, which is logged; `row` is then untouched and the features can be appended again.
    ///
    /// # Panics
    /// When `row` is not of the length of its kind.
    pub fn read(&self, content: &blake3::Hash, view: u32, row: &mut [E]) -> bool {
        assert_eq!(row.len(), E::ROW_LEN, "a row of features");
        let key = Key { content: *content.as_bytes(), view };
        let slot = self.read_index().slots.get(&key).copied();
        let Some(slot) = slot else { return false };
        let mut record = Record::<E>::empty();
        let read = self.file.read_exact_at(record.bytes_mut(), self.offset(slot));
        if read.is_ok() && record.key() == Some(key) {
            record.copy_to(row);
            return true;
        }
        let reason = read.err().map_or("checksum differs".to_owned(), |error| error.to_string());
        log::warn!(
            "{}: record {slot} is damaged ({reason}): its features are computed again",
            self.path.display()
        );
        self.write_index().forget(&key, slot);
        false
    }

    /// Adds the features of one view of one image. Nothing happens when they are
    /// there. They survive the death of the process at once, a power failure after [`Self::sync`].
    ///
    /// # Errors
    /// [`Error::Io`] with the path, as when the disk is full: what was there before is untouched,
    /// and what was written of this record is overwritten by the next.
    ///
    /// # Panics
    /// When `row` is not of the length of its kind.
    pub fn append(&self, content: &blake3::Hash, view: u32, row: &[E]) -> Result<()> {
        let key = Key { content: *content.as_bytes(), view };
        let record = Record::new(&key, row);
        // Held while writing, so that two threads cannot take the same place.
        let mut index = self.write_index();
        if index.slots.contains_key(&key) {
            return Ok(());
        }
        let slot = index.next_slot();
        self.file
            .write_all_at(record.bytes(), self.offset(slot))
            .map_err(Error::io(Action::Write, &self.path))?;
        index.fill(key, slot);
        Ok(())
    }

    /// Waits until what was appended is on the disk.
    ///
    /// # Errors
    /// [`Error::Io`] with the path.
    pub fn sync(&self) -> Result<()> {
        self.file.sync_data().map_err(Error::io(Action::Write, &self.path))
    }

    /// Indexes every whole record and cuts off what a write that was interrupted left at the end.
    fn scan(&self) -> Result<Index> {
        let len = self.file.metadata().map_err(Error::io(Action::Read, &self.path))?.len();
        let num_slots = len.saturating_sub(self.header_bytes) / E::RECORD_BYTES as u64;
        let num_slots = u32::try_from(num_slots).unwrap_or(u32::MAX);
        let mut index = Index::default();
        index.slots.reserve(num_slots as usize);
        let mut num_damaged = 0;
        let keys = (0..num_slots).into_par_iter().with_min_len(SLOTS).map_init(
            Record::<E>::empty,
            |record, slot| {
                signals::check()?;
                let read = self.file.read_exact_at(record.bytes_mut(), self.offset(slot));
                Ok(read.ok().and_then(|()| record.key()))
            },
        );
        for (slot, key) in (0..num_slots).zip(keys.collect::<Result<Vec<_>>>()?) {
            match key {
                Some(key) if !index.slots.contains_key(&key) => index.fill(key, slot),
                twice => {
                    num_damaged += usize::from(twice.is_none());
                    index.free.push(slot);
                }
            }
        }
        index.num_slots = num_slots;
        // Taken from the back: the file is filled from its start.
        index.free.reverse();
        if num_damaged > 0 {
            log::warn!(
                "{}: {num_damaged} of {num_slots} records are damaged: their features are computed again",
                self.path.display()
            );
        }
        let whole = self.offset(num_slots);
        if len != whole {
            self.file.set_len(whole).map_err(Error::io(Action::Write, &self.path))?;
        }
        Ok(index)
    }

    fn offset(&self, slot: u32) -> u64 {
        self.header_bytes + u64::from(slot) * E::RECORD_BYTES as u64
    }

    // No code that can panic runs under the lock: poison says nothing about the index.
    fn read_index(&self) -> RwLockReadGuard<'_, Index> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_index(&self) -> RwLockWriteGuard<'_, Index> {
        self.index.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Index {
    /// Where the next record goes.
    fn next_slot(&self) -> u32 {
        self.free.last().copied().unwrap_or(self.num_slots)
    }

    fn fill(&mut self, key: Key, slot: u32) {
        self.slots.insert(key, slot);
        if self.free.last() == Some(&slot) {
            self.free.pop();
        }
        self.num_slots = self.num_slots.max(slot + 1);
    }

    /// Gives the place of a damaged record back, unless somebody else did.
    fn forget(&mut self, key: &Key, slot: u32) {
        if self.slots.get(key) == Some(&slot) {
            self.slots.remove(key);
            self.free.push(slot);
        }
    }
}

/// Opens the file at `path` if it is there and begins with `header`. Other errors than that are
/// returned: a lack of file handles, say, is no reason to throw features away.
fn open_existing(path: &Path, header: &[u8]) -> io::Result<Option<File>> {
    let file = match OpenOptions::new().read(true).write(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let mut found = vec![0; header.len()];
    if file.read_exact_at(&mut found, 0).is_ok() && found == header {
        return Ok(Some(file));
    }
    log::warn!(
        "{}: its header is damaged or another recipe's: all features are computed again",
        path.display()
    );
    Ok(None)
}
