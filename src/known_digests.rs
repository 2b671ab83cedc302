//! SHA-256 of large files that seldom change, so that they are not read for it again.
//!
//! A file is known by its size, times and inode; what several begin with, by a fingerprint of its bytes. Both
//! lists lie in a small file, which can be deleted at any time: what is not known is read.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use sha2::Sha256;
use xxhash_rust::xxh3::xxh3_64;

use crate::atomic_file;
use crate::digest;
use crate::error::{Action, Error, Result};
use crate::file_stat::{Stat, is_settled, settle_own};

/// What was found in the files that were read.
#[derive(Debug)]
pub struct KnownDigests {
    path: PathBuf,
    lists: Mutex<Lists>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Lists {
    files: Vec<Known>,
    /// The latest last.
    beginnings: Vec<Beginning>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Known {
    path: PathBuf,
    stat: Stat,
    sha256: String,
}

/// What many files begin with: models with the same backbone do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Beginning {
    /// Tells its bytes from all others.
    fingerprint: String,
    num_bytes: u64,
    /// As [`digest::state`].
    state: String,
}

/// Beginnings that are known at most.
const MAX_BEGINNINGS: usize = 4;

/// What the file of the lists holds.
#[derive(Serialize, Deserialize)]
struct Saved {
    #[serde(flatten)]
    lists: Lists,
    /// XXH3-64 of the lists as JSON.
    checksum: u64,
}

impl KnownDigests {
    /// Reads the lists at `path`. A missing or damaged file knows nothing.
    pub fn open(path: &Path) -> Self {
        let lists = fs::read(path).ok().and_then(|bytes| parse(&bytes)).unwrap_or_default();
        KnownDigests { path: path.to_path_buf(), lists: Mutex::new(lists) }
    }

    /// SHA-256 of the file at `path` as 64 lowercase hex digits. A file that was changed less than 2 s
    /// before is read again the next time.
    ///
    /// # Errors
    /// [`Error::Io`] with the path; [`Error::Stopped`]. That the lists cannot be written is none.
    pub fn of_file(&self, path: &Path) -> Result<String> {
        if let Some(sha256) = self.known(path)? {
            return Ok(sha256);
        }
        let read_at = SystemTime::now();
        let metadata = fs::metadata(path).map_err(Error::io(Action::Read, path))?;
        let stat = Stat::of(&metadata);
        let (sha256, _) = digest::of_file(path)?;
        if is_settled(&metadata, read_at) {
            self.insert(Known { path: path.to_path_buf(), stat, sha256: sha256.clone() });
        }
        Ok(sha256)
    }

    /// SHA-256 of the file at `path`, if that need not be read for it.
    ///
    /// # Errors
    /// [`Error::Io`] with the path.
    pub fn known(&self, path: &Path) -> Result<Option<String>> {
        let metadata = fs::metadata(path).map_err(Error::io(Action::Read, path))?;
        let stat = Stat::of(&metadata);
        let lists = self.lock();
        let known = lists.files.iter().find(|it| it.path == path && it.stat == stat);
        Ok(known.map(|known| known.sha256.clone()))
    }

    /// Takes it that the file at `path`, which this program has just written, has this SHA-256, so that the
    /// next run need not read it. What does not come off is left to that.
    pub fn remember(&self, path: &Path, sha256: &str) {
        let Ok(metadata) = fs::metadata(path) else { return };
        if settle_own(&metadata) {
            let stat = Stat::of(&metadata);
            self.insert(Known { path: path.to_path_buf(), stat, sha256: sha256.into() });
        }
    }

    /// A hasher that has been fed with the first `num_bytes` of a file that begins so.
    pub fn of_beginning(&self, fingerprint: &str, num_bytes: u64) -> Option<Sha256> {
        let lists = self.lock();
        let is_this = |it: &&Beginning| it.fingerprint == fingerprint && it.num_bytes == num_bytes;
        digest::from_state(&lists.beginnings.iter().find(is_this)?.state)
    }

    /// Takes it that a file with this fingerprint begins as `hasher` was fed.
    pub fn remember_beginning(&self, fingerprint: String, num_bytes: u64, hasher: &Sha256) {
        let beginning = Beginning { fingerprint, num_bytes, state: digest::state(hasher) };
        self.change(|Lists { beginnings, .. }| {
            beginnings.retain(|it| it.fingerprint != beginning.fingerprint);
            beginnings.push(beginning);
            beginnings.drain(..beginnings.len().saturating_sub(MAX_BEGINNINGS));
        });
    }

    /// Replaces what was known of the file, forgets files that are gone.
    fn insert(&self, known: Known) {
        self.change(|Lists { files, .. }| {
            files.retain(|it| it.path != known.path && it.path.exists());
            files.push(known);
        });
    }

    /// Changes the lists and writes them.
    fn change(&self, change: impl FnOnce(&mut Lists)) {
        let mut lists = self.lock();
        change(&mut lists);
        if let Err(error) = self.write(&lists) {
            log::debug!("{error}");
        }
    }

    fn write(&self, lists: &Lists) -> Result<()> {
        let bytes = checksum(lists)
            .and_then(|checksum| serde_json::to_vec(&Saved { lists: lists.clone(), checksum }))
            .map_err(|error| Error::io(Action::Write, &self.path)(io::Error::from(error)))?;
        if let Some(dir) = self.path.parent() {
            atomic_file::create_dir(dir)?;
        }
        atomic_file::replace_unsynced(&self.path, &bytes)
    }

    fn lock(&self) -> MutexGuard<'_, Lists> {
        self.lists.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn parse(bytes: &[u8]) -> Option<Lists> {
    let Saved { lists, checksum: expected } = serde_json::from_slice(bytes).ok()?;
    (checksum(&lists).ok()? == expected).then_some(lists)
}

fn checksum(lists: &Lists) -> serde_json::Result<u64> {
    Ok(xxh3_64(&serde_json::to_vec(lists)?))
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::time::Duration;

    use sha2::Digest;

    use super::*;

    fn age(path: &Path, seconds: u64) {
        let time = SystemTime::now() - Duration::from_secs(seconds);
        File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
    }

    fn known(digests: &KnownDigests) -> usize {
        digests.lock().files.len()
    }

    #[test]
    fn a_file_is_read_again_when_it_has_changed_or_has_changed_lately() {
        let dir = tempfile::tempdir().unwrap();
        let (list, path) = (dir.path().join("digests.json"), dir.path().join("weights.pth"));
        fs::write(&path, "abc").unwrap();
        let digests = KnownDigests::open(&list);
        let first = digests.of_file(&path).unwrap();
        assert_eq!(first, digest::of_file(&path).unwrap().0);
        assert_eq!((known(&digests), list.exists()), (0, false));
        age(&path, 60);
        assert_eq!(digests.of_file(&path).unwrap(), first);
        assert_eq!((known(&digests), list.exists()), (1, true));
        fs::write(&path, "abd").unwrap();
        age(&path, 60);
        let second = digests.of_file(&path).unwrap();
        assert_eq!(second, digest::of_file(&path).unwrap().0);
        assert_eq!(known(&digests), 1);
        assert_ne!(second, first);
    }

    #[test]
    fn what_is_known_is_not_read_and_a_damaged_list_knows_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (list, path) = (dir.path().join("digests.json"), dir.path().join("weights.pth"));
        fs::write(&path, "abc").unwrap();
        age(&path, 60);
        let sha256 = KnownDigests::open(&list).of_file(&path).unwrap();
        let other = "0".repeat(64);
        let text = fs::read_to_string(&list).unwrap().replace(&sha256, &other);
        fs::write(&list, &text).unwrap();
        assert_eq!(KnownDigests::open(&list).of_file(&path).unwrap(), sha256);
        // A list that says something else of the file, with a checksum of its own.
        let mut lists = parse(&fs::read(&list).unwrap()).unwrap();
        lists.files[0].sha256.clone_from(&other);
        let checksum = checksum(&lists).unwrap();
        fs::write(&list, serde_json::to_vec(&Saved { lists, checksum }).unwrap()).unwrap();
        assert_eq!(KnownDigests::open(&list).of_file(&path).unwrap(), other);
        fs::write(&list, "{").unwrap();
        assert_eq!(KnownDigests::open(&list).of_file(&path).unwrap(), sha256);
    }

    #[test]
    fn what_this_program_wrote_is_known_until_it_changes() {
        let dir = tempfile::tempdir().unwrap();
        let (list, path) = (dir.path().join("digests.json"), dir.path().join("model.pth"));
        fs::write(&path, "abc").unwrap();
        let digests = KnownDigests::open(&list);
        let other = "0".repeat(64);
        // It could change again within a tick of a clock that shows whole seconds.
        let file = File::options().write(true).open(&path).unwrap();
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(now.as_secs())).unwrap();
        digests.remember(&path, &other);
        assert_eq!(known(&digests), 0);
        file.set_modified(SystemTime::now() - Duration::from_nanos(123_457)).unwrap();
        digests.remember(&path, &other);
        assert_eq!(KnownDigests::open(&list).of_file(&path).unwrap(), other);
        fs::write(&path, "abcd").unwrap();
        assert_eq!(digests.of_file(&path).unwrap(), digest::of_file(&path).unwrap().0);
        digests.remember(&dir.path().join("gone"), &other);
        assert_eq!(known(&digests), 1);
    }

    #[test]
    fn a_file_that_begins_as_one_before_is_hashed_from_there_on() {
        let dir = tempfile::tempdir().unwrap();
        let list = dir.path().join("digests.json");
        let digests = KnownDigests::open(&list);
        // Not a multiple of the 64 bytes of a block.
        let beginning = [7; 1000];
        let hasher = Sha256::new().chain_update(beginning);
        digests.remember_beginning("first".into(), 1000, &hasher);
        let digests = KnownDigests::open(&list);
        assert!(digests.of_beginning("first", 999).is_none());
        assert!(digests.of_beginning("other", 1000).is_none());
        let resumed = digests.of_beginning("first", 1000).unwrap();
        for end in ["", "an end", &"x".repeat(200)] {
            let whole = Sha256::new().chain_update(beginning).chain_update(end);
            assert_eq!(digest::hex(resumed.clone().chain_update(end)), digest::hex(whole));
        }
        // The latest are kept, each once.
        for name in ["second", "third", "second", "fourth", "fifth"] {
            digests.remember_beginning(name.into(), 1, &hasher);
        }
        assert!(digests.of_beginning("first", 1000).is_none());
        let names: Vec<_> =
            digests.lock().beginnings.iter().map(|it| it.fingerprint.clone()).collect();
        assert_eq!(names, ["third", "second", "fourth", "fifth"]);
        // One that cannot be understood is not known.
        digests.lock().beginnings[0].state.truncate(10);
        assert!(digests.of_beginning("third", 1).is_none());
    }

    #[test]
    fn files_that_are_gone_are_forgotten_and_a_list_that_cannot_be_written_is_no_error() {
        let dir = tempfile::tempdir().unwrap();
        let digests = KnownDigests::open(&dir.path().join("digests.json"));
        for name in ["first", "second"] {
            let path = dir.path().join(name);
            fs::write(&path, name).unwrap();
            age(&path, 60);
            digests.of_file(&path).unwrap();
            fs::remove_file(&path).unwrap();
        }
        assert_eq!(known(&digests), 1);
        let path = dir.path().join("third");
        fs::write(&path, "third").unwrap();
        age(&path, 60);
        let digests = KnownDigests::open(&path.join("digests.json"));
        assert_eq!(digests.of_file(&path).unwrap(), digest::of_file(&path).unwrap().0);
        assert_eq!(digests.of_file(dir.path().join("gone").as_path()).unwrap_err().exit_code(), 66);
    }
}
