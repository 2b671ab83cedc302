//! A zip archive to a folder, without trust in the archive.

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use zip::ZipArchive;
use zip::result::ZipError;

use crate::disk_space;
use crate::error::{Action, Error, Result};
use crate::fetch::progress::{Progress, megabytes};
use crate::run::signals;

/// Most entries an archive may have; the dog breeds have about 8,500.
const MAX_ENTRIES: usize = 1_000_000;
/// Most bytes an archive may unpack to; the dog breeds need 1.1 GB.
const MAX_BYTES: u64 = 16 << 30;
/// Bytes written at a time.
const BLOCK_BYTES: usize = 1 << 17;

/// What came out of an archive.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Unpacked {
    /// Files written.
    pub num_files: usize,
    /// Their bytes.
    pub num_bytes: u64,
    /// Entries left out: `__MACOSX` and whatever a leading dot hides.
    pub num_skipped: usize,
}

/// Unpacks the zip at `archive_path` into the folder `dir`, which is created; it should be empty,
/// since no existing file is overwritten. On an error `dir` holds what came before it.
///
/// Names that lead out of `dir`, links, encrypted entries and more bytes than announced are
/// refused; the checksum of every file is compared. One thread: inflating is several times faster
/// than the disks this runs on.
///
/// # Errors
/// [`Error::BadData`] names the archive and the entry at fault; [`Error::Io`] the path that could
/// not be written.
pub fn unpack(archive_path: &Path, dir: &Path, progress: &Progress) -> Result<Unpacked> {
    let bad = |reason: String| {
        Error::bad_data(archive_path, reason, "Delete this archive, then fetch it again.")
    };
    let file = File::open(archive_path).map_err(Error::io(Action::Read, archive_path))?;
    let mut archive = ZipArchive::new(BufReader::new(file))
        .map_err(|error| bad(format!("not a whole zip archive: {}", plain(&error))))?;
    let total_bytes = announced_bytes(&mut archive).map_err(bad)?;
    fs::create_dir_all(dir).map_err(Error::io(Action::Create, dir))?;
    disk_space::require(dir, total_bytes)?;

    let label = archive_path.file_name().unwrap_or_default().to_string_lossy();
    let mut task = progress.task(&format!("unpacking {label}"));
    task.set(0, Some(total_bytes));
    let mut unpacked = Unpacked::default();
    let mut block = vec![0; BLOCK_BYTES];
    for index in 0..archive.len() {
        signals::check()?;
        let mut entry = archive
            .by_index(index)
            .map_err(|error| bad(format!("entry {index}: {}", plain(&error))))?;
        let name = entry.name().map_err(|error| bad(plain(&error)))?.into_owned();
        let Some(relative) = safe_path(&name).map_err(bad)? else {
            unpacked.num_skipped += 1;
            continue;
        };
        let path = dir.join(relative);
        if entry.is_dir() {
            fs::create_dir_all(&path).map_err(Error::io(Action::Create, &path))?;
            continue;
        }
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(Error::io(Action::Create, parent))?;
        }
        let mut out = File::create_new(&path).map_err(Error::io(Action::Create, &path))?;
        let size = entry.size();
        let mut num_bytes = 0;
        loop {
            // Reading on to the end, past the announced size, is what compares the checksum.
            let n = match entry.read(&mut block) {
                Ok(0) => break,
                Ok(n) => n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(bad(format!("{name}: {error}"))),
            };
            num_bytes += n as u64;
            if num_bytes > size {
                return Err(bad(format!("{name}: longer than its announced {size} bytes")));
            }
            out.write_all(&block[..n]).map_err(Error::io(Action::Write, &path))?;
            task.advance(n as u64);
        }
        if num_bytes < size {
            return Err(bad(format!("{name}: {num_bytes} of its {size} bytes")));
        }
        unpacked.num_files += 1;
        unpacked.num_bytes += num_bytes;
    }
    Ok(unpacked)
}

/// Sum of the sizes in the archive's directory, within bounds; links are found here, before a byte
/// is written.
fn announced_bytes(archive: &mut ZipArchive<BufReader<File>>) -> Result<u64, String> {
    if archive.len() > MAX_ENTRIES {
        return Err(format!("{} entries, more than {MAX_ENTRIES}", archive.len()));
    }
    let mut total_bytes = 0u64;
    for index in 0..archive.len() {
        let entry = archive
            .by_index_raw(index)
            .map_err(|error| format!("entry {index}: {}", plain(&error)))?;
        let name = entry.name().map_err(|error| plain(&error))?;
        if entry.is_symlink() {
            return Err(format!("{name}: a symbolic link"));
        }
        safe_path(&name)?;
        total_bytes = total_bytes.saturating_add(entry.size());
    }
    if total_bytes > MAX_BYTES {
        return Err(format!("it unpacks to {}, too much", megabytes(total_bytes)));
    }
    Ok(total_bytes)
}

/// The path of an entry below the target folder; `None` for what is left out.
fn safe_path(name: &str) -> Result<Option<PathBuf>, String> {
    let parts: Vec<&str> = name.trim_end_matches('/').split('/').collect();
    if parts.iter().any(|part| matches!(*part, "" | "." | "..") || part.contains(['\\', '\0'])) {
        return Err(format!("{name:?}: a name that may lead out of the folder"));
    }
    let hidden = parts.iter().any(|part| part.starts_with('.') || *part == "__MACOSX");
    Ok((!hidden).then(|| parts.iter().collect()))
}

fn plain(error: &ZipError) -> String {
    match error {
        ZipError::Io(error) => error.to_string(),
        error => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_below_the_folder_pass() {
        let path = |name| safe_path(name).unwrap();
        assert_eq!(path("a/b.jpg"), Some(PathBuf::from("a/b.jpg")));
        assert_eq!(path("a/b/"), Some(PathBuf::from("a/b")));
        assert_eq!(path("a/..b"), None);
        assert_eq!(path("__MACOSX/a/b.jpg"), None);
        assert_eq!(path("a/.DS_Store"), None);
        for name in ["", "/", "/etc/x", "../x", "a/../x", "a//x", "./x", "a\\..\\x", "a\0b"] {
            assert!(safe_path(name).is_err(), "{name:?}");
        }
    }
}
