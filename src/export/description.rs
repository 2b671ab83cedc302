//! What a file says of its model beside the tensors.

use crate::artifact::Metadata;
use crate::error::{Error, Result};

/// Keys with their values, in the order in which they are written. `class_names` is a JSON array in
/// the order of the logits; `transform` is a JSON object as in model.json; `model_sha256` is that of
/// the model.pth the file was made from. Nothing depends on when or where the export ran.
pub(super) fn describe(metadata: &Metadata) -> Result<Vec<(&'static str, String)>> {
    Ok(vec![
        ("program", metadata.program.clone()),
        ("architecture", metadata.architecture.clone()),
        ("model_sha256", metadata.model_sha256.clone()),
        ("created", metadata.created.to_string()),
        ("description", metadata.description.clone()),
        ("class_names", json(&metadata.class_names)?),
        ("transform", json(&metadata.transform)?),
    ])
}

/// What model.json of the artifact says.
#[cfg(feature = "torch")]
pub(super) fn model_json(metadata: &Metadata) -> Result<String> {
    json(metadata)
}

fn json(value: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(value)
        .map_err(|error| Error::Internal(format!("cannot write JSON: {error}")))
}
