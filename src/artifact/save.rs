//! Writing a model into a folder.

use std::io::Write;
use std::path::Path;

use serde::Serialize;

use super::metadata::Metadata;
use super::names::{HISTORY_FILE, METADATA_FILE, MODEL_FILE};
use crate::atomic_file;
use crate::digest;
use crate::error::{Error, Result};
use crate::model::state_dict::StateDict;
use crate::run::signals;
use crate::train::fit::Epoch;

/// Names, JSON and alignment beside the tensors, generously.
const OVERHEAD_BYTES: u64 = 1 << 20;

/// Writes model.pth, model.json and history.jsonl into the folder `dir` as plain files, and completes
/// `metadata.model_sha256`. They are on disk when it returns. Calls `meanwhile` while the model's file is on
/// its way, and returns what that made.
///
/// Each is replaced as a whole, but one after the other: what readers look at meanwhile is replaced
/// by [`publish`](super::publish).
///
/// # Errors
/// [`Error::Io`] with the path; [`Error::Stopped`].
pub fn save<T: Send>(
    dir: &Path,
    state_dict: &StateDict,
    metadata: &mut Metadata,
    history: &[Epoch],
    meanwhile: impl FnOnce() -> T + Send,
) -> Result<T> {
    signals::check()?;
    let model_path = dir.join(MODEL_FILE);
    let (sha256, made) = atomic_file::replace_and_read(
        &model_path,
        |file| state_dict.save_pth(file),
        |unfinished| {
            let (digest, made) = rayon::join(|| digest::of_file(unfinished), meanwhile);
            Ok((digest?.0, made))
        },
    )?;
    metadata.model_sha256 = sha256;
    write_lines(&dir.join(HISTORY_FILE), history)?;
    let text = serde_json::to_string_pretty(metadata).map_err(|error| internal(&error))?;
    atomic_file::replace(&dir.join(METADATA_FILE), |file| writeln!(file, "{text}"))?;
    Ok(made)
}

/// What [`save`] will take on disk at most, with a head of `num_classes` on a backbone whose file has
/// `backbone_bytes`.
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
