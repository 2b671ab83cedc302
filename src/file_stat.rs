//! Whether a file is still the one it was.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::thread;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

/// How much older than its reading a file's last change must be. What changes a file twice within
/// one tick of its file system's clock leaves the same times twice ("racily clean" in git); the
/// coarsest clock, that of FAT, ticks every 2 s.
const MIN_AGE: Duration = Duration::from_secs(2);
/// The same where the file system's clock is the kernel's, which ticks every 10 ms at most.
const MIN_AGE_OF_FINE_TIMES: Duration = Duration::from_millis(11);
/// Coarse clocks leave zeros below this, in ns.
const FINE_NS: i64 = 1_000_000;

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
    is_older(metadata, read_at, MIN_AGE)
}

/// The same of a file that this program has written itself a moment ago, so that its times come from the
/// file system's clock alone: no program can have set them. Waits for the clock where that is fine.
pub(crate) fn settle_own(metadata: &Metadata) -> bool {
    let is_settled = || is_settled_own(metadata, SystemTime::now());
    is_settled() || {
        if has_fine_times(metadata) {
            thread::sleep(MIN_AGE_OF_FINE_TIMES);
        }
        is_settled()
    }
}

fn is_settled_own(metadata: &Metadata, now: SystemTime) -> bool {
    has_fine_times(metadata) && is_older(metadata, now, MIN_AGE_OF_FINE_TIMES)
}

fn has_fine_times(metadata: &Metadata) -> bool {
    metadata.mtime_nsec() % FINE_NS != 0
}

fn is_older(metadata: &Metadata, now: SystemTime, min_age: Duration) -> bool {
    metadata
        .modified()
        .ok()
        .and_then(|modified| now.duration_since(modified).ok())
        .is_some_and(|age| age >= min_age)
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    #[test]
    fn own_files_settle_sooner_where_times_are_fine() {
        let file = tempfile::tempfile().unwrap();
        let now = SystemTime::UNIX_EPOCH + Duration::new(1_700_000_000, 0);
        let changed = |file: &File, age: Duration| {
            file.set_modified(now - age).unwrap();
            let metadata = file.metadata().unwrap();
            (is_settled(&metadata, now), is_settled_own(&metadata, now))
        };
        assert_eq!(changed(&file, Duration::from_nanos(10_123_456)), (false, false));
        assert_eq!(changed(&file, Duration::from_nanos(12_123_456)), (false, true));
        assert_eq!(changed(&file, Duration::from_millis(500)), (false, false));
        assert_eq!(changed(&file, Duration::from_nanos(2_000_000_001)), (true, true));
    }
}
