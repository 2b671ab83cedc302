//! What a file says of its model beside the tensors.

use serde::Serialize;

use crate::artifact::{Metadata, Transform};
use crate::error::{Error, Result};

/// The part of model.json that is needed to use the model and to tell which it is. Nothing depends on
/// when or where the export ran.
#[derive(Debug, Serialize)]
pub(super) struct Description<'a> {
    program: &'a str,
    architecture: &'a str,
    model_sha256: &'a str,
    created: String,
    description: &'a str,
    class_names: &'a [String],
    transform: &'a Transform,
    temperature: Option<f64>,
}

impl<'a> Description<'a> {
    pub(super) fn of(metadata: &'a Metadata) -> Self {
        Description {
            program: &metadata.program,
            architecture: &metadata.architecture,
            model_sha256: &metadata.model_sha256,
            created: metadata.created.to_string(),
            description: &metadata.description,
            class_names: &metadata.class_names,
            transform: &metadata.transform,
            temperature: metadata.temperature,
        }
    }

    /// For formats that map text to text: `class_names` is a JSON array, `transform` a JSON object,
    /// `temperature` a JSON number or null.
    pub(super) fn pairs(&self) -> Result<Vec<(&'static str, String)>> {
        Ok(vec![
            ("program", self.program.to_owned()),
            ("architecture", self.architecture.to_owned()),
            ("model_sha256", self.model_sha256.to_owned()),
            ("created", self.created.clone()),
            ("description", self.description.to_owned()),
            ("class_names", serde_json::to_string(self.class_names).map_err(internal)?),
            ("transform", serde_json::to_string(self.transform).map_err(internal)?),
            ("temperature", serde_json::to_string(&self.temperature).map_err(internal)?),
        ])
    }

    /// As a JSON object.
    pub(super) fn json(&self) -> Result<String> {
        serde_json::to_string_pretty(self).map_err(internal)
    }
}

fn internal(error: serde_json::Error) -> Error {
    Error::Internal(format!("cannot write JSON: {error}"))
}
