//! Names in the folder of artifacts.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use jiff::Timestamp;

/// The state dict: torchvision's names, `fc` with as many rows as there are classes.
pub const MODEL_FILE: &str = "model.pth";
/// [`Metadata`](super::Metadata) as JSON.
pub const METADATA_FILE: &str = "model.json";
/// An [`Epoch`](crate::train::fit::Epoch) per line.
pub const HISTORY_FILE: &str = "history.jsonl";
/// An [`Event`](crate::telemetry::Event) per line.
pub const METRICS_FILE: &str = "metrics.jsonl";
/// The run for people: an HTML page of one file.
pub const REPORT_FILE: &str = "report.html";
/// All files of a model that have a name beside [`CURRENT_LINK`].
pub(super) const FILES: [&str; 5] =
    [MODEL_FILE, METADATA_FILE, HISTORY_FILE, METRICS_FILE, REPORT_FILE];

/// Holds a folder per training.
pub(super) const RUNS_DIR: &str = "runs";
/// Leads to the folder of the standing model.
pub(super) const CURRENT_LINK: &str = "current";

/// Holds a folder per training whose model is kept.
pub fn runs_dir(dir: &Path) -> PathBuf {
    dir.join(RUNS_DIR)
}

/// Name in `runs_dir` for a training that ends now, which no other has; in the order of time.
pub(super) fn new_run_id(runs_dir: &Path) -> String {
    loop {
        let id = Timestamp::now().strftime("%Y%m%dT%H%M%S.%3fZ").to_string();
        if runs_dir.join(&id).symlink_metadata().is_err() {
            return id;
        }
        thread::sleep(Duration::from_millis(1));
    }
}

/// Whether [`new_run_id`] may have made `name`.
pub(super) fn is_run_id(name: &str) -> bool {
    const PATTERN: &[u8] = b"00000000T000000.000Z";
    name.len() == PATTERN.len()
        && name.bytes().zip(PATTERN).all(|(byte, &wanted)| {
            if wanted == b'0' { byte.is_ascii_digit() } else { byte == wanted }
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_told_from_other_names_and_sort_by_time() {
        let dir = tempfile::tempdir().unwrap();
        let mut ids = Vec::new();
        for _ in 0..5 {
            let id = new_run_id(dir.path());
            assert!(is_run_id(&id), "{id}");
            std::fs::create_dir(dir.path().join(&id)).unwrap();
            ids.push(id);
        }
        assert!(ids.is_sorted() && ids.windows(2).all(|pair| pair[0] != pair[1]), "{ids:?}");
        for name in ["best", "20261125T031500.123", "20261125t031500.123Z", ".writing-a"] {
            assert!(!is_run_id(name), "{name}");
        }
    }
}
