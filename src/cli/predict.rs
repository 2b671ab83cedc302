//! `ec2train predict IMAGE...`

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{print, print_json};
use crate::data::path_as_text;
use crate::error::{Error, Result};
use crate::job::Job;
use crate::metrics::softmax;
use crate::predictor::Predictor;

const TOP_K: usize = 5;

#[derive(Serialize)]
struct Prediction<'a> {
    #[serde(serialize_with = "path_as_text")]
    path: &'a Path,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    top: Vec<ClassProbability<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    logits: Vec<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Serialize)]
struct ClassProbability<'a> {
    idx: usize,
    class_name: &'a str,
    probability: f64,
}

pub fn run(job: &Job, images: &[PathBuf], json: bool) -> Result<()> {
    let predictor = Predictor::load(job)?;
    let paths: Vec<&Path> = images.iter().map(PathBuf::as_path).collect();
    let class_names = &predictor.metadata.class_names;
    let predictions: Vec<Prediction> = predictor
        .logits(&paths)?
        .into_iter()
        .zip(&paths)
        .map(|(logits, path)| match logits {
            Ok(logits) => Prediction { path, top: top(&logits, class_names), logits, error: None },
            Err(error) => {
                Prediction { path, top: Vec::new(), logits: Vec::new(), error: Some(error) }
            }
        })
        .collect();
    if json {
        print_json(&predictions)?;
    } else {
        print(&predictions.iter().map(table).collect::<String>())?;
    }
    first_error(&predictions)
}

fn top<'a>(logits: &[f32], class_names: &'a [String]) -> Vec<ClassProbability<'a>> {
    let mut classes: Vec<ClassProbability> = softmax(logits)
        .into_iter()
        .zip(class_names)
        .enumerate()
        .map(|(idx, (probability, class_name))| ClassProbability { idx, class_name, probability })
        .collect();
    classes.sort_by(|a, b| b.probability.total_cmp(&a.probability));
    classes.truncate(TOP_K);
    classes
}

fn table(prediction: &Prediction) -> String {
    let mut text = format!("{}\n", prediction.path.display());
    for class in &prediction.top {
        text += &format!("  {:6.2} %  {}\n", 100.0 * class.probability, class.class_name);
    }
    if let Some(error) = &prediction.error {
        text += &format!("  {error}\n");
    }
    text
}

/// The images that could be read were classified; the exit code tells that some could not.
fn first_error(predictions: &[Prediction]) -> Result<()> {
    let failed: Vec<&Prediction> = predictions.iter().filter(|p| p.error.is_some()).collect();
    let Some(first) = failed.first() else { return Ok(()) };
    let reason = first.error.clone().unwrap_or_default();
    let remedy = match failed.len() {
        1 => "The other images were classified.".to_owned(),
        n => format!("{} other images could not be classified either.", n - 1),
    };
    if first.path.exists() {
        Err(Error::bad_data(first.path, reason, remedy))
    } else {
        Err(Error::InputMissing { what: "image", path: first.path.into(), remedy })
    }
}
