//! A look at the disk before it is filled.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::error::{Action, Error, Result};

/// Passes if the file system that holds the folder `dir` has `needed_bytes` to give. One that does
/// not say how much it has passes too.
///
/// # Errors
/// [`Error::Io`] with both figures, exit code 74.
pub fn require(dir: &Path, needed_bytes: u64) -> Result<()> {
    require_all(&[(dir, needed_bytes)])
}

/// The same for several folders: those of one file system are taken together.
///
/// # Errors
/// As [`require`].
pub fn require_all(needed: &[(&Path, u64)]) -> Result<()> {
    let device = |dir: &Path| fs::metadata(dir).map(|metadata| metadata.dev()).ok();
    for &(dir, _) in needed {
        let Ok(space) = rustix::fs::statvfs(dir) else { continue };
        let free_bytes = space.f_bavail.saturating_mul(space.f_frsize);
        let shared = needed.iter().filter(|(other, _)| device(other) == device(dir));
        let needed_bytes = shared.fold(0u64, |sum, (_, bytes)| sum.saturating_add(*bytes));
        if needed_bytes > free_bytes {
            return Err(lack(dir, needed_bytes, free_bytes));
        }
    }
    Ok(())
}

/// Says how much is needed when `error` is that of a full disk; returns any other as it is.
pub fn explain(error: Error, needed_bytes: u64) -> Error {
    let Error::Io { action: Action::Write | Action::Create, path, source } = &error else {
        return error;
    };
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            let dir = path.parent().unwrap_or(path);
            let free_bytes = rustix::fs::statvfs(dir)
                .map_or(0, |space| space.f_bavail.saturating_mul(space.f_frsize));
            lack(path, needed_bytes, free_bytes)
        }
        _ => error,
    }
}

fn lack(path: &Path, needed_bytes: u64, free_bytes: u64) -> Error {
    let megabytes = |num_bytes: u64| num_bytes as f64 / 1e6;
    let reason =
        format!("{:.1} MB needed, {:.1} MB free", megabytes(needed_bytes), megabytes(free_bytes));
    Error::io(Action::Write, path)(io::Error::new(io::ErrorKind::StorageFull, reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_the_disk_has_is_refused_with_both_figures() {
        let dir = tempfile::tempdir().unwrap();
        require(dir.path(), 1).unwrap();
        let half = u64::MAX / 2 + 1;
        let error = require_all(&[(dir.path(), half), (dir.path(), half)]).unwrap_err();
        assert_eq!(error.exit_code(), 74);
        let text = error.to_string();
        assert!(text.contains("needed") && text.contains("free") && text.contains("df"), "{text}");
    }
}
