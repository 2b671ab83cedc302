//! What a model follows from.

use super::extraction::Extracted;
use crate::config::TRAIN_VIEWS;
use crate::data::transform::EvalTransform;
use crate::error::{Error, Result};
use crate::job::Job;
use crate::model::backbone::Engine;
use crate::model::weights::Weights;
use crate::train::checkpoint;

/// BLAKE3 over all that decides on a model and on what model.json says of its images: features,
/// files, settings, engine, this program to the byte. `None` when the program cannot read itself.
pub(super) fn digest(
    job: &Job,
    class_names: &[String],
    weights: &Weights,
    transform: EvalTransform,
    engine: Engine,
    extracted: &Extracted,
) -> Result<Option<String>> {
    let mut program = blake3::Hasher::new();
    if program.update_mmap_rayon("/proc/self/exe").is_err() {
        return Ok(None);
    }
    let Extracted { train, valid, held_out, data, .. } = extracted;
    let num_classes = class_names.len();
    let fit = checkpoint::key(train, valid, num_classes, &job.hyperparameters)?;
    let described = serde_json::to_vec(&(
        (job.kind, class_names, &weights.sha256, transform),
        (engine.name(), TRAIN_VIEWS, data, held_out.test_targets()),
    ))
    .map_err(|error| Error::Internal(format!("cannot describe a run: {error}")))?;
    let mut hasher = blake3::Hasher::new();
    hasher.update(fit.as_bytes());
    hasher.update(program.finalize().as_bytes());
    hasher.update(&described);
    Ok(Some(hasher.finalize().to_hex().to_string()))
}
