//! What has arrived of a download.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::digest;
use crate::error::{Action, Error, Result};

/// Which version of which remote file the bytes are of: two of the same origin may be joined.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Origin {
    /// The address that was asked.
    pub url: String,
    /// A strong ETag, or else the date of the last change, as the server sent it: what `If-Range`
    /// takes. Without one a download cannot be continued safely.
    pub validator: Option<String>,
    /// Length of the whole file, if the server told.
    pub total_bytes: Option<u64>,
}

/// An open `<name>.part`, locked against a second download of the same file.
#[derive(Debug)]
pub(super) struct Partial {
    path: PathBuf,
    origin_path: PathBuf,
    file: File,
    len: u64,
    hasher: Sha256,
    origin: Option<Origin>,
}

impl Partial {
    /// Opens what an earlier run left of `url`'s way to `target`, or starts with nothing.
    pub fn open(target: &Path, url: &str) -> Result<Partial> {
        if let Some(dir) = target.parent() {
            fs::create_dir_all(dir).map_err(Error::io(Action::Create, dir))?;
        }
        let path = with_suffix(target, ".part");
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(Error::io(Action::Create, &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let reason = "another process is downloading this file".to_string();
                return Err(Error::Busy { path, reason });
            }
            // Some network file systems have no locks: a download is still possible there.
            Err(TryLockError::Error(error)) => log::debug!("{}: no lock: {error}", path.display()),
        }
        let mut partial = Partial {
            origin_path: with_suffix(target, ".part.json"),
            path,
            file,
            len: 0,
            hasher: Sha256::new(),
            origin: None,
        };
        match partial.read_origin() {
            Some(origin) if origin.url == url && origin.validator.is_some() => {
                partial.len = digest::absorb(&mut partial.hasher, &partial.file)
                    .map_err(Error::io(Action::Read, &partial.path))?;
                partial.origin = Some(origin);
            }
            _ => partial.clear()?,
        }
        Ok(partial)
    }

    /// Bytes that have arrived.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// The version they are of; `None` before the first answer.
    pub fn origin(&self) -> Option<&Origin> {
        self.origin.as_ref()
    }

    /// Whether every byte that the server announced has arrived.
    pub fn is_complete(&self) -> bool {
        self.origin.as_ref().and_then(|origin| origin.total_bytes) == Some(self.len)
    }

    /// SHA-256 of what has arrived.
    pub fn sha256(&self) -> String {
        digest::hex(self.hasher.clone())
    }

    /// Where the bytes are.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Forgets all bytes and begins with those of `origin`.
    pub fn restart(&mut self, origin: Origin) -> Result<()> {
        self.clear()?;
        // Written before the first byte, so that no byte is ever ascribed to another version.
        let text = serde_json::to_vec(&origin)
            .map_err(|error| Error::Internal(format!("origin as JSON: {error}")))?;
        fs::write(&self.origin_path, text).map_err(Error::io(Action::Write, &self.origin_path))?;
        self.origin = Some(origin);
        Ok(())
    }

    /// Forgets all bytes and their version.
    pub fn clear(&mut self) -> Result<()> {
        self.origin = None;
        self.hasher = Sha256::new();
        self.len = 0;
        remove_if_there(&self.origin_path)?;
        self.file
            .set_len(0)
            .and_then(|()| self.file.seek(SeekFrom::Start(0)))
            .map_err(Error::io(Action::Write, &self.path))?;
        Ok(())
    }

    /// Takes the next bytes.
    pub fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).map_err(Error::io(Action::Write, &self.path))?;
        self.hasher.update(bytes);
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// Moves the whole file to `target`; it is on disk before it has that name.
    pub fn finish(self, target: &Path) -> Result<()> {
        self.file.sync_all().map_err(Error::io(Action::Write, &self.path))?;
        fs::rename(&self.path, target).map_err(Error::io(Action::Create, target))?;
        remove_if_there(&self.origin_path)?;
        sync_parent(target)
    }

    /// Deletes the bytes and their version from the disk.
    pub fn remove(self) -> Result<()> {
        remove_if_there(&self.origin_path)?;
        remove_if_there(&self.path)
    }

    fn read_origin(&self) -> Option<Origin> {
        serde_json::from_slice(&fs::read(&self.origin_path).ok()?).ok()
    }
}

/// Puts the rename of `path` itself on disk.
pub(super) fn sync_parent(path: &Path) -> Result<()> {
    let dir = match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    };
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(Error::io(Action::Write, dir))
}

/// `path` with `suffix` behind its file name.
pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn remove_if_there(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::io(Action::Write, path)(error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "http://example.org/file";

    fn origin(validator: Option<&str>) -> Origin {
        Origin {
            url: URL.to_string(),
            validator: validator.map(str::to_string),
            total_bytes: Some(6),
        }
    }

    #[test]
    fn what_arrived_survives_a_restart_of_the_program() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("file");
        let mut partial = Partial::open(&target, URL).unwrap();
        partial.restart(origin(Some("\"v1\""))).unwrap();
        partial.append(b"abc").unwrap();
        drop(partial);

        let mut partial = Partial::open(&target, URL).unwrap();
        assert_eq!((partial.len(), partial.is_complete()), (3, false));
        partial.append(b"def").unwrap();
        assert!(partial.is_complete());
        let sha256 = partial.sha256();
        partial.finish(&target).unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"abcdef");
        assert_eq!(digest::of_file(&target).unwrap(), (sha256, 6));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing else is left");
    }

    #[test]
    fn bytes_without_a_known_version_are_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("file");
        for (origin, url) in
            [(origin(None), URL), (origin(Some("\"v1\"")), "http://example.org/other")]
        {
            let mut partial = Partial::open(&target, URL).unwrap();
            partial.restart(origin).unwrap();
            partial.append(b"abc").unwrap();
            drop(partial);
            assert_eq!(Partial::open(&target, url).unwrap().len(), 0);
        }
        fs::write(with_suffix(&target, ".part"), b"abc").unwrap();
        fs::write(with_suffix(&target, ".part.json"), b"{\"url\":").unwrap();
        assert_eq!(Partial::open(&target, URL).unwrap().len(), 0);
    }

    #[test]
    fn a_full_disk_is_said_with_its_remedy() {
        let dir = tempfile::tempdir().unwrap();
        let mut partial = Partial::open(&dir.path().join("file"), URL).unwrap();
        // Every write to this device fails as on a full disk.
        partial.file = File::options().write(true).open("/dev/full").unwrap();
        let error = partial.append(b"abc").unwrap_err();
        assert_eq!(error.exit_code(), 74);
        assert!(error.to_string().contains("file.part"), "{error}");
        assert!(error.to_string().contains("The disk is full"), "{error}");
    }

    #[test]
    fn a_second_download_of_the_same_file_is_told_to_wait() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("file");
        let _first = Partial::open(&target, URL).unwrap();
        assert_eq!(Partial::open(&target, URL).unwrap_err().exit_code(), 75);
    }
}
