//! Names in the folder of artifacts.

use std::path::{Path, PathBuf};

use jiff::Timestamp;

/// The state dict: torchvision's names, `fc` with as many rows as there are classes.
pub const MODEL_FILE: &str = "model.pth";
/// [`Metadata`](super::Metadata) as JSON.
pub const METADATA_FILE: &str = "model.json";
/// An [`Epoch`](crate::train::fit::Epoch) per line.
pub const HISTORY_FILE: &str = "history.jsonl";
/// All files of a model.
pub(super) const FILES: [&str; 3] = [MODEL_FILE, METADATA_FILE, HISTORY_FILE];

/// Holds a folder per training.
pub(super) const RUNS_DIR: &str = "runs";
/// Leads to the folder of the standing model.
pub(super) const CURRENT_LINK: &str = "current";

/// Holds a folder per training whose model is kept.
pub fn runs_dir(dir: &Path) -> PathBuf {
    dir.join(RUNS_DIR)
}

/// Name of the folder of a training that ends now; in the order of time.
pub(super) fn run_id() -> String {
    Timestamp::now().strftime("%Y%m%dT%H%M%S.%3fZ").to_string()
}

/// Whether [`run_id`] may have made `name`.
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
        let id = run_id();
        assert!(is_run_id(&id), "{id}");
        std::thread::sleep(std::time::Duration::from_millis(2));
        assert!(id < run_id());
        for name in ["best", "20261125T031500.123", "20261125t031500.123Z", ".writing-a"] {
            assert!(!is_run_id(name), "{name}");
        }
    }
}
