//! Predictions as text, JSON or CSV.

use std::path::Path;

use serde::Serialize;

use crate::data::path_as_text;
use crate::error::{Error, Result};

/// How predictions are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// For people.
    Text,
    /// An array with an object per image, each on a line of its own: `path`, `top` with `idx`,
    /// `class_name` and `probability`, and `logits`; or `path` and `error`.
    Json,
    /// RFC 4180: `path,rank,class,probability`, a record for each class shown. What is not UTF-8 in
    /// a path is kept.
    Csv,
}

/// What is known of one image.
pub(super) struct Prediction<'a> {
    pub(super) path: &'a Path,
    /// Logits and probabilities, each `[C]`, or why there are none.
    pub(super) result: Result<(&'a [f32], Vec<f64>), &'a str>,
}

/// Writes one image after the other.
pub(super) struct Printer<'a> {
    format: Format,
    class_names: &'a [String],
    top_k: usize,
    is_first: bool,
}

#[derive(Serialize)]
struct Object<'a> {
    #[serde(serialize_with = "path_as_text")]
    path: &'a Path,
    #[serde(skip_serializing_if = "Option::is_none")]
    top: Option<Vec<ClassProbability<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    logits: Option<&'a [f32]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct ClassProbability<'a> {
    idx: usize,
    class_name: &'a str,
    probability: f64,
}

impl<'a> Printer<'a> {
    pub(super) fn new(format: Format, class_names: &'a [String], top_k: usize) -> Self {
        Printer { format, class_names, top_k, is_first: true }
    }

    /// What comes before the first image.
    pub(super) fn begin(&self) -> &'static str {
        match self.format {
            Format::Text => "",
            Format::Json => "[",
            Format::Csv => "path,rank,class,probability\r\n",
        }
    }

    /// One image.
    pub(super) fn item(&mut self, prediction: &Prediction) -> Result<Vec<u8>> {
        let top = match &prediction.result {
            Ok((_, probabilities)) => Some(self.top(probabilities)),
            Err(_) => None,
        };
        let separator = if std::mem::take(&mut self.is_first) { "\n" } else { ",\n" };
        match self.format {
            Format::Text => Ok(text(prediction, top.unwrap_or_default()).into_bytes()),
            Format::Csv => csv(prediction.path, top.unwrap_or_default()),
            Format::Json => {
                let (logits, error) = match prediction.result {
                    Ok((logits, _)) => (Some(logits), None),
                    Err(reason) => (None, Some(reason)),
                };
                let object = Object { path: prediction.path, top, logits, error };
                let mut bytes = separator.as_bytes().to_vec();
                serde_json::to_writer(&mut bytes, &object)
                    .map_err(|error| Error::Internal(format!("cannot write JSON: {error}")))?;
                Ok(bytes)
            }
        }
    }

    /// What comes after the last image.
    pub(super) fn end(&self) -> &'static str {
        match self.format {
            Format::Text | Format::Csv => "",
            Format::Json => "\n]\n",
        }
    }

    /// The most likely classes; of equally likely ones the first.
    fn top(&self, probabilities: &[f64]) -> Vec<ClassProbability<'a>> {
        let mut classes: Vec<ClassProbability> = probabilities
            .iter()
            .zip(self.class_names)
            .enumerate()
            .map(|(idx, (&probability, class_name))| ClassProbability {
                idx,
                class_name,
                probability,
            })
            .collect();
        classes.sort_by(|a, b| b.probability.total_cmp(&a.probability));
        classes.truncate(self.top_k);
        classes
    }
}

fn text(prediction: &Prediction, top: Vec<ClassProbability>) -> String {
    let mut text = format!("{}\n", prediction.path.display());
    for class in top {
        text += &format!("  {:6.2} %  {}\n", 100.0 * class.probability, class.class_name);
    }
    if let Err(reason) = prediction.result {
        text += &format!("  {reason}\n");
    }
    text
}

fn csv(path: &Path, top: Vec<ClassProbability>) -> Result<Vec<u8>> {
    let failed = |error| Error::Internal(format!("cannot write CSV: {error}"));
    let mut writer =
        csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    for (rank, class) in (1..).zip(top) {
        let (rank, probability): (usize, f64) = (rank, class.probability);
        writer
            .write_record([
                path.as_os_str().as_encoded_bytes(),
                rank.to_string().as_bytes(),
                class.class_name.as_bytes(),
                probability.to_string().as_bytes(),
            ])
            .map_err(|error| failed(error.to_string()))?;
    }
    writer.into_inner().map_err(|error| failed(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equally_likely_classes_keep_their_order() {
        let class_names = ["a", "b", "c"].map(String::from);
        let printer = Printer::new(Format::Text, &class_names, 2);
        let top = printer.top(&[0.2, 0.4, 0.4]);
        assert_eq!(top.iter().map(|class| class.class_name).collect::<Vec<_>>(), ["b", "c"]);
    }

    #[test]
    fn csv_quotes_what_needs_it() {
        let class_names = ["a, \"b\"".to_owned()];
        let mut printer = Printer::new(Format::Csv, &class_names, 5);
        let prediction =
            Prediction { path: Path::new("x\ny.jpg"), result: Ok((&[0.0], vec![1.0])) };
        let record = printer.item(&prediction).unwrap();
        assert_eq!(record, b"\"x\ny.jpg\",1,\"a, \"\"b\"\"\",1\r\n");
    }
}
