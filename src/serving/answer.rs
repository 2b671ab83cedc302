//! The reply in the format that the client accepts.

use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::response::Response;

use super::fault::Fault;
use super::queue::Computed;
use super::wire::{ClassProbability, Logits, Prediction, VerboseReply};
use crate::train::temperature::probabilities;

/// Classes in a verbose reply by default.
const TOP_K: usize = 5;

/// How predictions are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// Logits as `[[...], ...]`.
    Json,
    /// A [`VerboseReply`] with this many classes for each image.
    Verbose { top_k: usize },
    /// Logits, an image a line.
    Csv,
    /// Logits as a NumPy array `[N, C]` f32.
    Npy,
}

impl Format {
    /// From the header `Accept` and the query of the address, as in `verbose=true&top_k=3`.
    ///
    /// # Errors
    /// [`Fault::NotAcceptable`]; [`Fault::BadRequest`] for a parameter that is not understood.
    pub(super) fn negotiate(headers: &HeaderMap, query: Option<&str>) -> Result<Self, Fault> {
        let query = query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
        let from_query = Parameters::default().read(query)?;
        let accepted: Vec<&str> =
            headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
        let accepted = accepted.join(",");
        if accepted.trim().is_empty() {
            return Ok(from_query.json());
        }
        let mut ranges: Vec<(f32, &str)> =
            accepted.split(',').map(|range| (quality(range), range)).collect();
        // Stable: of equal ones the first counts.
        ranges.sort_by(|a, b| b.0.total_cmp(&a.0));
        for (_, range) in ranges.into_iter().filter(|(quality, _)| *quality > 0.0) {
            let mut parts = range.split(';').map(str::trim);
            match parts.next().unwrap_or_default().to_ascii_lowercase().as_str() {
                "application/json" => return Ok(from_query.read(parts)?.json()),
                "*/*" | "application/*" => return Ok(from_query.json()),
                "text/csv" | "text/*" => return Ok(Format::Csv),
                "application/x-npy" => return Ok(Format::Npy),
                _ => {}
            }
        }
        Err(Fault::NotAcceptable(accepted))
    }

    /// Writes `predictions`, of which there is at least one.
    pub(super) fn write(self, predictions: Vec<Computed>) -> Result<Response, Fault> {
        let (content_type, body) = match self {
            Format::Json => {
                let logits: Logits = predictions.into_iter().map(|image| image.logits).collect();
                ("application/json", json(&logits)?)
            }
            Format::Verbose { top_k } => ("application/json", json(&verbose(predictions, top_k)?)?),
            Format::Csv => ("text/csv; charset=utf-8", csv(&predictions).into_bytes()),
            Format::Npy => ("application/x-npy", npy(&predictions)),
        };
        let response = Response::builder().header(CONTENT_TYPE, content_type);
        response.body(Body::from(body)).map_err(|_| Fault::Internal)
    }
}

/// The `q` of a media range: 1 unless it says otherwise.
fn quality(range: &str) -> f32 {
    let mut parameters = range.split(';').skip(1).filter_map(|part| part.trim().split_once('='));
    let quality = parameters.find(|(name, _)| name.trim().eq_ignore_ascii_case("q"));
    quality.and_then(|(_, value)| value.trim().parse().ok()).unwrap_or(1.0)
}

/// What JSON is to have in it.
#[derive(Debug, Clone, Copy, Default)]
struct Parameters {
    is_verbose: bool,
    top_k: Option<usize>,
}

impl Parameters {
    fn read<'a>(mut self, pairs: impl Iterator<Item = &'a str>) -> Result<Self, Fault> {
        for pair in pairs {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let unknown = || Fault::BadRequest(format!("{name}={value} is not understood"));
            match name.trim() {
                "verbose" => self.is_verbose = value.trim().parse().map_err(|_| unknown())?,
                "top_k" => {
                    let top_k = value.trim().parse().map_err(|_| unknown())?;
                    self.top_k = Some(top_k);
                }
                // `q` and what others may mean something by.
                _ => {}
            }
        }
        Ok(self)
    }

    fn json(self) -> Format {
        if self.is_verbose {
            Format::Verbose { top_k: self.top_k.unwrap_or(TOP_K) }
        } else {
            Format::Json
        }
    }
}

fn json(value: &impl serde::Serialize) -> Result<Vec<u8>, Fault> {
    serde_json::to_vec(value).map_err(|_| Fault::Internal)
}

fn verbose(predictions: Vec<Computed>, top_k: usize) -> Result<VerboseReply, Fault> {
    // Of a request that met a new model on its way the last image names it.
    let model = predictions.last().ok_or(Fault::Internal)?.model.description.clone();
    let predictions = predictions.into_iter().map(|image| Prediction {
        top: top(&image, top_k),
        logits: image.logits,
        warning: image.warning,
        queue_ms: image.waited.as_secs_f64() * 1e3,
        compute_ms: image.took.as_secs_f64() * 1e3,
        batch: image.batch,
    });
    Ok(VerboseReply { model, predictions: predictions.collect() })
}

fn top(image: &Computed, top_k: usize) -> Vec<ClassProbability> {
    let temperature = image.model.description.temperature;
    let mut classes: Vec<ClassProbability> = probabilities(&image.logits, temperature)
        .into_iter()
        .zip(&image.model.class_names)
        .enumerate()
        .map(|(idx, (probability, class_name))| ClassProbability {
            idx,
            class_name: class_name.clone(),
            probability,
        })
        .collect();
    classes.sort_by(|a, b| b.probability.total_cmp(&a.probability));
    classes.truncate(top_k);
    classes
}

fn csv(predictions: &[Computed]) -> String {
    let line = |image: &Computed| {
        let fields: Vec<String> = image.logits.iter().map(f32::to_string).collect();
        fields.join(",") + "\n"
    };
    predictions.iter().map(line).collect()
}

/// Version 1.0 of NumPy's format: magic, a header that pads the whole to 64 bytes, the values.
fn npy(predictions: &[Computed]) -> Vec<u8> {
    const PREFIX: &[u8] = b"\x93NUMPY\x01\x00";
    let num_classes = predictions.first().map_or(0, |image| image.logits.len());
    let mut header = format!(
        "{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, {num_classes}), }}",
        predictions.len()
    );
    let unpadded = PREFIX.len() + size_of::<u16>() + header.len() + 1;
    header += &" ".repeat(unpadded.next_multiple_of(64) - unpadded);
    header.push('\n');
    let mut bytes = PREFIX.to_vec();
    bytes.extend_from_slice(&(header.len() as u16).to_le_bytes());
    bytes.extend_from_slice(header.as_bytes());
    for image in predictions {
        bytes.extend(image.logits.iter().flat_map(|logit| logit.to_le_bytes()));
    }
    bytes
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn negotiate(accept: &'static str, query: &str) -> Result<Format, Fault> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static(accept));
        Format::negotiate(&headers, Some(query))
    }

    #[test]
    fn the_format_follows_accept_and_the_query() {
        let verbose = |top_k| Ok(Format::Verbose { top_k });
        assert_eq!(Format::negotiate(&HeaderMap::new(), None), Ok(Format::Json));
        assert_eq!(negotiate("*/*", ""), Ok(Format::Json));
        assert_eq!(negotiate("application/json", "verbose=true"), verbose(5));
        assert_eq!(negotiate("application/json; verbose=true", ""), verbose(5));
        assert_eq!(negotiate("application/json;verbose=true;top_k=2", ""), verbose(2));
        assert_eq!(negotiate("*/*", "verbose=true&top_k=3"), verbose(3));
        assert_eq!(negotiate("text/csv", ""), Ok(Format::Csv));
        assert_eq!(
            negotiate("text/html, application/x-npy;q=0.5, text/csv;q=0.4", ""),
            Ok(Format::Npy)
        );
        assert!(matches!(negotiate("text/html", ""), Err(Fault::NotAcceptable(_))));
        assert!(matches!(negotiate("text/csv;q=0", ""), Err(Fault::NotAcceptable(_))));
        assert!(matches!(negotiate("*/*", "verbose=maybe"), Err(Fault::BadRequest(_))));
        assert!(matches!(negotiate("*/*", "verbose=true&top_k=-1"), Err(Fault::BadRequest(_))));
    }
}
