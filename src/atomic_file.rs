//! Files that are there whole or not at all.

use std::fs::{self, File, Permissions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::{NamedTempFile, TempDir};

use crate::error::{Action, Error, Result};

/// How the names of unfinished files and folders begin.
pub const PREFIX: &str = ".writing-";

/// Replaces `path` with what `write` writes. Whoever reads `path` at any moment, also after a crash
/// or a power failure, finds the old content or the new, never a part.
///
/// # Errors
/// [`Error::Io`] with the path; the old file is then untouched and nothing is left beside it.
pub fn replace(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<&File>) -> std::io::Result<()>,
) -> Result<()> {
    let dir = parent(path);
    let temporary = temporary_in(dir).map_err(Error::io(Action::Create, path))?;
    let mut writer = BufWriter::with_capacity(1 << 20, temporary.as_file());
    write(&mut writer)
        .and_then(|()| writer.into_inner().map_err(std::io::IntoInnerError::into_error))
        .and_then(File::sync_all)
        .map_err(Error::io(Action::Write, path))?;
    temporary.persist(path).map_err(|error| Error::io(Action::Create, path)(error.error))?;
    sync_dir(dir)
}

/// Replaces `path` with `bytes` without waiting for the disk: for what may be lost with the machine's
/// power, not with the process.
///
/// # Errors
/// As [`replace`].
pub fn replace_unsynced(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut temporary = temporary_in(parent(path)).map_err(Error::io(Action::Create, path))?;
    temporary.write_all(bytes).map_err(Error::io(Action::Write, path))?;
    temporary.persist(path).map_err(|error| Error::io(Action::Create, path)(error.error))?;
    Ok(())
}

/// Deletes what processes that were killed within [`replace`] left in `dir`. No other process may be
/// writing there.
///
/// # Errors
/// [`Error::Io`] with the path. A missing folder has nothing left in it.
pub fn remove_leftovers(dir: &Path) -> Result<()> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(Error::io(Action::Read, dir))?,
    };
    for entry in entries {
        let entry = entry.map_err(Error::io(Action::Read, dir))?;
        if entry.file_name().as_encoded_bytes().starts_with(PREFIX.as_bytes()) {
            let path = entry.path();
            let is_dir = entry.file_type().is_ok_and(|file_type| file_type.is_dir());
            let removed = if is_dir { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            removed.map_err(Error::io(Action::Write, &path))?;
        }
    }
    Ok(())
}

/// Creates a folder with all its parents.
///
/// # Errors
/// [`Error::Io`] with the path.
pub fn create_dir(dir: &Path) -> Result<()> {
    fs::create_dir_all(dir).map_err(Error::io(Action::Create, dir))
}

/// A folder in `dir` for what has to be made under its final name. It is deleted when the value is
/// dropped.
///
/// # Errors
/// [`Error::Io`] with the path.
pub fn temporary_dir_in(dir: &Path) -> Result<TempDir> {
    tempfile::Builder::new()
        .prefix(PREFIX)
        .permissions(Permissions::from_mode(0o777))
        .tempdir_in(dir)
        .map_err(Error::io(Action::Create, dir))
}

/// Beside the target, since a rename is atomic within one file system only. The mode is what any new
/// file gets; the umask is applied to it.
fn temporary_in(dir: &Path) -> io::Result<NamedTempFile> {
    tempfile::Builder::new()
        .prefix(PREFIX)
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(dir)
}

/// Makes a rename in `dir` survive a power failure.
///
/// # Errors
/// [`Error::Io`] with the path.
pub fn sync_dir(dir: &Path) -> Result<()> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(Error::io(Action::Write, dir))
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_file_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("model.json");
        replace(&path, |file| file.write_all(b"old")).unwrap();
        let error = replace(&path, |file| {
            file.write_all(b"half")?;
            Err(io::Error::from(io::ErrorKind::StorageFull))
        })
        .unwrap_err();
        assert_eq!(error.exit_code(), 74);
        assert!(error.to_string().contains("model.json"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        replace(&path, |file| file.write_all(b"new")).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_ne!(fs::metadata(&path).unwrap().permissions().mode() & 0o044, 0);
    }

    #[test]
    fn what_killed_processes_left_is_removed_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(".writing-abc"), "half").unwrap();
        fs::create_dir(dir.path().join(".writing-dir")).unwrap();
        fs::write(dir.path().join(".writing-dir/model.pth"), "half").unwrap();
        fs::write(dir.path().join("model.pth"), "whole").unwrap();
        remove_leftovers(dir.path()).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        remove_leftovers(&dir.path().join("missing")).unwrap();
    }

    #[test]
    fn a_folder_that_is_missing_cannot_be_written_to() {
        let error = replace(Path::new("/nonexistent/model.pth"), |_| Ok(())).unwrap_err();
        assert_eq!(error.exit_code(), 73);
    }
}
