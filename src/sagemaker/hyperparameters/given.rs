//! What arguments, file and environment say.

use std::env;
use std::path::Path;

use clap::ArgMatches;
use serde_json::{Map, Value};

use super::super::config_file;
use crate::error::{Error, Result};

/// SageMaker's own, which its tools put among the user's.
const OWN_PREFIX: &str = "sagemaker_";
const TUNING_METRIC: &str = "_tuning_objective_metric";

/// A hyperparameter as somebody gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Given {
    /// With dashes.
    pub(super) name: String,
    pub(super) value: String,
    /// Who gave it.
    pub(super) source: String,
}

/// In the arguments of the command line.
pub(super) fn in_arguments(arguments: &ArgMatches) -> Vec<Given> {
    let value = |name: &str| arguments.get_one::<String>(name).cloned().unwrap_or_default();
    let given = |name: &str| Given {
        name: name.to_owned(),
        value: unquoted(value(name)),
        source: "arguments".into(),
    };
    let names = arguments.ids().map(clap::Id::as_str);
    names.map(given).collect()
}

/// In hyperparameters.json.
pub(super) fn in_file(path: &Path) -> Result<Vec<Given>> {
    let map = config_file::read(path)?.unwrap_or_default();
    Ok(in_map(map, &path.display().to_string()))
}

/// In `SM_HPS`, where SageMaker's training toolkit puts them all as JSON.
pub(super) fn in_environment() -> Result<Vec<Given>> {
    let Some(text) = env::var("SM_HPS").ok().filter(|text| !text.is_empty()) else {
        return Ok(Vec::new());
    };
    let map = serde_json::from_str(&text).map_err(|error| {
        let remedy = "It has to be an object in JSON, or unset.";
        Error::bad_data("SM_HPS", format!("cannot be understood: {error}"), remedy)
    })?;
    Ok(in_map(map, "SM_HPS"))
}

fn in_map(map: Map<String, Value>, source: &str) -> Vec<Given> {
    map.into_iter()
        .filter(|(name, _)| !name.starts_with(OWN_PREFIX) && name != TUNING_METRIC)
        .map(|(name, value)| Given {
            name: with_dashes(&name),
            value: match value {
                Value::String(text) => unquoted(text),
                value => value.to_string(),
            },
            source: source.to_owned(),
        })
        .collect()
}

/// `batch_size` is `batch-size`.
pub(super) fn with_dashes(name: &str) -> String {
    name.replace('_', "-")
}

/// SageMaker's Python SDK writes values as JSON into a file that is JSON itself: `"\"64\""`.
fn unquoted(mut text: String) -> String {
    while let Ok(inner) = serde_json::from_str::<String>(text.trim()) {
        text = inner;
    }
    text.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_strings_quoted_or_not_and_names_have_dashes() {
        let json = r#"{
            "epochs": "5", "batch_size": "\"32\"", "learning-rate": "\" 1e-3 \"", "patience": 7,
            "sagemaker_program": "\"train.py\"", "sagemaker_region": "\"us-east-1\"",
            "_tuning_objective_metric": "Test Loss"
        }"#;
        let given = in_map(serde_json::from_str(json).unwrap(), "file");
        let pairs: Vec<(&str, &str)> =
            given.iter().map(|one| (one.name.as_str(), one.value.as_str())).collect();
        let expected =
            [("epochs", "5"), ("batch-size", "32"), ("learning-rate", "1e-3"), ("patience", "7")];
        assert_eq!(pairs, expected);
    }
}
