//! A look at the disk before it is filled.

use std::io;
use std::path::Path;

use crate::error::{Action, Error, Result};

/// Passes if the file system that holds the folder `dir` has `needed_bytes` to give. One that does
/// not say how much it has passes too.
///
/// # Errors
/// [`Error::Io`] with both figures, exit code 74.
pub fn require(dir: &Path, needed_bytes: u64) -> Result<()> {
    let Ok(space) = rustix::fs::statvfs(dir) else { return Ok(()) };
    let free_bytes = space.f_bavail.saturating_mul(space.f_frsize);
    if needed_bytes <= free_bytes { Ok(()) } else { Err(lack(dir, needed_bytes, free_bytes)) }
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
        let error = require(dir.path(), u64::MAX).unwrap_err();
        assert_eq!(error.exit_code(), 74);
        let text = error.to_string();
        assert!(text.contains("needed") && text.contains("free") && text.contains("df"), "{text}");
    }
}
