//! SHA-256 of large files that seldom change, so that they are not read for it again.
//!
//! A file is known by its size, times and inode. The list lies in a small file, which can be deleted at
//! any time: what is not known is read.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::atomic_file;
use crate::digest;
use crate::error::{Action, Error, Result};
use crate::file_stat::{Stat, is_settled, is_settled_own};

/// What was found in the files that were read.
#[derive(Debug)]
pub struct KnownDigests {
    path: PathBuf,
    files: Mutex<Vec<Known>>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Known {
    path: PathBuf,
    stat: Stat,
    sha256: String,
}

/// What the file of the list holds.
#[derive(Serialize, Deserialize)]
struct List {
    files: Vec<Known>,
    /// XXH3-64 of `files` as JSON.
    checksum: u64,
}

impl KnownDigests {
    /// Reads the list at `path`. A missing or damaged one knows nothing.
    pub fn open(path: &Path) -> Self {
        let files = fs::read(path).ok().and_then(|bytes| parse(&bytes)).unwrap_or_default();
        KnownDigests { path: path.to_path_buf(), files: Mutex::new(files) }
    }

    /// SHA-256 of the file at `path` as 64 lowercase hex digits. A file that was changed less than 2 s
    /// before is read again the next time.
    ///
    /// # Errors
    /// [`Error::Io`] with the path; [`Error::Stopped`]. That the list cannot be written is none.
    pub fn of_file(&self, path: &Path) -> Result<String> {
        let read_at = SystemTime::now();
        let metadata = fs::metadata(path).map_err(Error::io(Action::Read, path))?;
        let stat = Stat::of(&metadata);
        let known = self.files.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(known) = known.into_iter().find(|it| it.path == path && it.stat == stat) {
            return Ok(known.sha256);
        }
        let (sha256, _) = digest::of_file(path)?;
        if is_settled(&metadata, read_at) {
            let known = Known { path: path.to_path_buf(), stat, sha256: sha256.clone() };
            if let Err(error) = self.insert(known) {
                log::debug!("{error}");
            }
        }
        Ok(sha256)
    }

    /// Takes it that the file at `path`, which this program has just written, has this SHA-256, so that the
    /// next run need not read it. What does not come off is left to that.
    pub fn remember(&self, path: &Path, sha256: &str) {
        let Ok(metadata) = fs::metadata(path) else { return };
        if is_settled_own(&metadata, SystemTime::now()) {
            let stat = Stat::of(&metadata);
            let known = Known { path: path.to_path_buf(), stat, sha256: sha256.into() };
            if let Err(error) = self.insert(known) {
                log::debug!("{error}");
            }
        }
    }

    /// Replaces what was known of the file, forgets files that are gone, and writes the list.
    fn insert(&self, known: Known) -> Result<()> {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        files.retain(|it| it.path != known.path && it.path.exists());
        files.push(known);
        let bytes = checksum(&files)
            .and_then(|checksum| serde_json::to_vec(&List { files: files.clone(), checksum }))
            .map_err(|error| Error::io(Action::Write, &self.path)(io::Error::from(error)))?;
        if let Some(dir) = self.path.parent() {
            atomic_file::create_dir(dir)?;
        }
        atomic_file::replace_unsynced(&self.path, &bytes)
    }
}

fn parse(bytes: &[u8]) -> Option<Vec<Known>> {
    let List { files, checksum: expected } = serde_json::from_slice(bytes).ok()?;
    (checksum(&files).ok()? == expected).then_some(files)
}

fn checksum(files: &[Known]) -> serde_json::Result<u64> {
    Ok(xxh3_64(&serde_json::to_vec(files)?))
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::time::Duration;

    use super::*;

    fn age(path: &Path, seconds: u64) {
        let time = SystemTime::now() - Duration::from_secs(seconds);
        File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
    }

    fn known(digests: &KnownDigests) -> usize {
        digests.files.lock().unwrap().len()
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
        let mut files = parse(&fs::read(&list).unwrap()).unwrap();
        files[0].sha256.clone_from(&other);
        let checksum = checksum(&files).unwrap();
        fs::write(&list, serde_json::to_vec(&List { files, checksum }).unwrap()).unwrap();
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
        // Too young: it could change again within a tick.
        File::options().write(true).open(&path).unwrap().set_modified(SystemTime::now()).unwrap();
        digests.remember(&path, &other);
        assert_eq!(known(&digests), 0);
        let time = SystemTime::now() - Duration::from_nanos(100_123_457);
        File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
        digests.remember(&path, &other);
        assert_eq!(KnownDigests::open(&list).of_file(&path).unwrap(), other);
        fs::write(&path, "abcd").unwrap();
        assert_eq!(digests.of_file(&path).unwrap(), digest::of_file(&path).unwrap().0);
        digests.remember(&dir.path().join("gone"), &other);
        assert_eq!(known(&digests), 1);
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
