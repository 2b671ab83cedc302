//! Reading the JSON files of `input/config`.

use std::fs;
use std::io;
use std::path::Path;

use serde::de::DeserializeOwned;

use crate::error::{Action, Error, Result};

/// What the file says; `None` when it is not there, as in a container that was started by hand.
///
/// # Errors
/// [`Error::BadData`] when it cannot be understood.
pub(super) fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    let text = match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        text => text.map_err(Error::io(Action::Read, path))?,
    };
    serde_json::from_str(&text).map(Some).map_err(|error| {
        let remedy = "SageMaker writes this file; one written by hand has to have the same form.";
        Error::bad_data(path, format!("cannot be understood: {error}"), remedy)
    })
}
