//! Whether a file is still the one it was.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

/// How much older than its reading a file's last change must be. What changes a file twice within
/// one tick of its file system's clock leaves the same times twice ("racily clean" in git); the
/// coarsest clock, that of FAT, ticks every 2 s.
const MIN_AGE: Duration = Duration::from_secs(2);

/// What of a file's metadata changes when its content does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stat {
    pub(crate) size: u64,
    /// Last change of the content, ns since 1970.
    pub(crate) mtime_ns: i64,
    /// Last change of the content or the metadata. No program can set it back.
    pub(crate) ctime_ns: i64,
    pub(crate) inode: u64,
}

impl Stat {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        // Wraps in the year 2262; two times that differ still do.
        let ns = |s: i64, ns: i64| s.wrapping_mul(1_000_000_000).wrapping_add(ns);
        Stat {
            size: metadata.size(),
            mtime_ns: ns(metadata.mtime(), metadata.mtime_nsec()),
            ctime_ns: ns(metadata.ctime(), metadata.ctime_nsec()),
            inode: metadata.ino(),
        }
    }
}

/// Whether a file that is read at `read_at` cannot have changed after that without its times telling.
/// `metadata` is from a moment before.
pub(crate) fn is_settled(metadata: &Metadata, read_at: SystemTime) -> bool {
    metadata
        .modified()
        .ok()
        .and_then(|modified| read_at.duration_since(modified).ok())
        .is_some_and(|age| age >= MIN_AGE)
}
