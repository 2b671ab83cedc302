//! An image folder that arrives as a zip archive.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use crate::config::EXPECTED_NUM_CLASSES;
use crate::data::image_folder::Split;
use crate::error::{Action, Error, Result};
use crate::fetch::download::{Fetched, fetch};
use crate::fetch::network::Network;
use crate::fetch::partial::{sync_parent, with_suffix};
use crate::fetch::progress::{Progress, megabytes};
use crate::fetch::source::Source;
use crate::fetch::unpack::unpack;

/// Brings the data set in the archive `source` to the folder `dir`, unless `dir` has its splits
/// already.
///
/// The archive may hold the splits at its top or within one folder. It is deleted after unpacking,
/// to keep the need for disk small; its SHA-256 stays in `<archive>.sha256`. `dir` appears whole
/// or not at all.
///
/// # Errors
/// Those of [`fetch`] and [`unpack`]; [`Error::BadData`] when `dir` or the archive has not all of
/// `train`, `valid` and `test`.
pub fn fetch_dataset(
    source: &Source,
    dir: &Path,
    network: &Network,
    progress: &Progress,
) -> Result<()> {
    if is_there(dir)? {
        log::info!("{}: already there", dir.display());
        return Ok(());
    }
    let fetched = fetch(source, network, progress)?;
    record_digest(source, &fetched)?;
    let archive_path = &source.target;
    let _lock = lock(archive_path)?;
    let staging = with_suffix(dir, ".unpacking");
    remove_dir_if_there(&staging)?;
    let installed = unpack_to(archive_path, &staging, dir, progress);
    remove_dir_if_there(&staging)?;
    installed?;
    fs::remove_file(archive_path).map_err(Error::io(Action::Write, archive_path))?;
    log::info!("{}: unpacked and deleted", archive_path.display());
    Ok(())
}

fn unpack_to(archive_path: &Path, staging: &Path, dir: &Path, progress: &Progress) -> Result<()> {
    let unpacked = unpack(archive_path, staging, progress)?;
    let root = splits_root(archive_path, staging)?;
    // One flush of the file system instead of one per image.
    File::open(staging)
        .and_then(|folder| Ok(rustix::fs::syncfs(folder)?))
        .map_err(Error::io(Action::Write, staging))?;
    fs::rename(&root, dir).map_err(Error::io(Action::Create, dir))?;
    sync_parent(dir)?;
    log::info!(
        "{}: {} files, {}",
        dir.display(),
        unpacked.num_files,
        megabytes(unpacked.num_bytes)
    );
    warn_of_other_classes(dir)
}

/// Whether `dir` has all splits; an error when it has something else.
fn is_there(dir: &Path) -> Result<bool> {
    let missing = missing_splits(dir);
    if missing.is_empty() {
        return Ok(true);
    }
    let is_absent = match fs::read_dir(dir) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => true,
        Err(error) => return Err(Error::io(Action::Read, dir)(error)),
    };
    if is_absent {
        return Ok(false);
    }
    Err(Error::bad_data(
        dir,
        format!("has no {}", missing.join(", no ")),
        "Complete this folder, or move it away and fetch again.",
    ))
}

/// The folder of an unpacked archive that has the splits.
fn splits_root(archive_path: &Path, staging: &Path) -> Result<PathBuf> {
    let mut candidates = vec![staging.to_path_buf()];
    candidates.extend(folders(staging)?);
    candidates.into_iter().find(|root| missing_splits(root).is_empty()).ok_or_else(|| {
        Error::bad_data(
            archive_path,
            "has no folder with train, valid and test in it",
            "It is another data set: delete this archive, then fetch again.",
        )
    })
}

fn missing_splits(dir: &Path) -> Vec<&'static str> {
    let names = Split::ALL.iter().map(|split| split.name());
    names.filter(|name| !dir.join(name).is_dir()).collect()
}

fn warn_of_other_classes(dir: &Path) -> Result<()> {
    for split in Split::ALL {
        let num_classes = folders(&dir.join(split.name()))?.len();
        if num_classes != EXPECTED_NUM_CLASSES {
            log::warn!(
                "{}: {num_classes} classes, {EXPECTED_NUM_CLASSES} expected",
                dir.join(split.name()).display()
            );
        }
    }
    Ok(())
}

/// Subfolders of `dir`.
fn folders(dir: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(dir)
        .and_then(|entries| entries.collect::<io::Result<Vec<_>>>())
        .map_err(Error::io(Action::Read, dir))?;
    Ok(entries.into_iter().map(|entry| entry.path()).filter(|path| path.is_dir()).collect())
}

/// Keeps the archive's digest in the format of `sha256sum`, and compares it with an earlier one.
fn record_digest(source: &Source, fetched: &Fetched) -> Result<()> {
    let path = with_suffix(&source.target, ".sha256");
    let line = format!("{}  {}\n", fetched.sha256, source.label());
    match fs::read_to_string(&path) {
        Ok(earlier) if earlier != line => log::warn!(
            "{}: SHA-256 is {}, an earlier download had {}",
            source.label(),
            fetched.sha256,
            earlier.split_whitespace().next().unwrap_or("none")
        ),
        _ => {}
    }
    fs::write(&path, line).map_err(Error::io(Action::Write, &path))
}

/// Keeps a second process from unpacking the same archive.
fn lock(archive_path: &Path) -> Result<File> {
    let file = File::open(archive_path).map_err(Error::io(Action::Read, archive_path))?;
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Err(Error::Busy {
            path: archive_path.to_path_buf(),
            reason: "another process is unpacking this archive".to_string(),
        }),
        _ => Ok(file),
    }
}

fn remove_dir_if_there(dir: &Path) -> Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::io(Action::Write, dir)(error))
        }
        _ => Ok(()),
    }
}
