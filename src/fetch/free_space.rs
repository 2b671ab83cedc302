//! A look at the disk before it is filled.

use std::io;
use std::path::Path;

use crate::error::{Action, Error, Result};
use crate::fetch::progress::megabytes;

/// An error if the file system that holds the folder `dir` has fewer than `needed_bytes` to give.
/// A file system that does not say how much it has passes.
pub(super) fn require(dir: &Path, needed_bytes: u64) -> Result<()> {
    let Ok(space) = rustix::fs::statvfs(dir) else { return Ok(()) };
    let free_bytes = space.f_bavail.saturating_mul(space.f_frsize);
    if needed_bytes <= free_bytes {
        return Ok(());
    }
    let reason = format!("{} needed, {} free", megabytes(needed_bytes), megabytes(free_bytes));
    Err(Error::io(Action::Write, dir)(io::Error::new(io::ErrorKind::StorageFull, reason)))
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
