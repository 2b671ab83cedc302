//! What is written beside a model.

use std::io::Write;
use std::path::Path;

use serde::Serialize;

use super::metadata::Metadata;
use super::names::{HISTORY_FILE, METADATA_FILE};
use crate::atomic_file;
use crate::error::{Error, Result};
use crate::train::fit::Epoch;

/// Names, JSON and alignment beside the tensors, generously.
const OVERHEAD_BYTES: u64 = 1 << 20;

/// Writes model.json and history.jsonl into the folder `dir`. They are on disk when it returns.
///
/// # Errors
/// [`Error::Io`] with the path.
pub(super) fn save_metadata(dir: &Path, metadata: &Metadata, history: &[Epoch]) -> Result<()> {
    write_lines(&dir.join(HISTORY_FILE), history)?;
    let text = serde_json::to_string_pretty(metadata).map_err(|error| internal(&error))?;
    atomic_file::replace(&dir.join(METADATA_FILE), |file| writeln!(file, "{text}"))
}

/// What a model with these files will take on disk at most, with a head of `num_classes` on a backbone
/// whose file has `backbone_bytes`.
pub fn saved_bytes(backbone_bytes: u64, num_classes: usize) -> u64 {
    let head_bytes = num_classes * (crate::config::NUM_FEATURES + 1) * size_of::<f32>();
    backbone_bytes + head_bytes as u64 + OVERHEAD_BYTES
}

fn write_lines(path: &Path, values: &[impl Serialize]) -> Result<()> {
    let lines: Vec<String> = values
        .iter()
        .map(serde_json::to_string)
        .collect::<Result<_, _>>()
        .map_err(|error| internal(&error))?;
    atomic_file::replace(path, |file| lines.iter().try_for_each(|line| writeln!(file, "{line}")))
}

fn internal(error: &serde_json::Error) -> Error {
    Error::Internal(format!("cannot write JSON: {error}"))
}
