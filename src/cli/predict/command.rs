//! Classifies images, and writes each result as soon as its turn comes.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use clap::Args;

use super::format::{Format, Prediction, Printer};
use super::inputs::{Failure, Inputs, find_images};
use crate::cli::{is_gone, write};
use crate::config::CHUNK;
use crate::error::{Action, Error, Result};
use crate::job::Job;
use crate::predictor::Predictor;
use crate::run::console::{self, Progress};

#[derive(Debug, Args)]
pub struct Arguments {
    /// Image files, folders of them at any depth, or `-` for a list of paths on stdin
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Number of classes shown of each image, the most likely ones
    #[arg(long, value_name = "N", default_value_t = 5)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    top_k: u32,
    /// Write a JSON array, one image per line, with all logits
    #[arg(long)]
    json: bool,
    /// Write CSV: path, rank, class, probability
    #[arg(long, conflicts_with = "json")]
    csv: bool,
}

impl Arguments {
    fn format(&self) -> Format {
        match (self.json, self.csv) {
            (true, _) => Format::Json,
            (_, true) => Format::Csv,
            _ => Format::Text,
        }
    }
}

pub fn run(job: &Job, arguments: &Arguments) -> Result<()> {
    let predictor = Predictor::load(job)?;
    let Inputs { images, mut failures } = find_images(&arguments.paths)?;
    failures.iter().for_each(warn);
    let result = classify(&predictor, &images, arguments, |failure| {
        warn(&failure);
        failures.push(failure);
    });
    match result {
        // As `head` does once it has what it wants.
        Err(Error::Io { source, .. }) if is_gone(&source) => {}
        result => result?,
    }
    failures.is_empty().then_some(()).ok_or_else(|| summary(&failures))
}

fn classify(
    predictor: &Predictor,
    images: &[PathBuf],
    arguments: &Arguments,
    mut on_failure: impl FnMut(Failure),
) -> Result<()> {
    let class_names = &predictor.metadata.class_names;
    let mut printer = Printer::new(arguments.format(), class_names, arguments.top_k as usize);
    // A bar over a handful of images would only flicker.
    let mut progress =
        (images.len() > CHUNK).then(|| Progress::new("predict", "images", images.len() as u64));
    let paths: Vec<&Path> = images.iter().map(PathBuf::as_path).collect();
    output(printer.begin().as_bytes())?;
    predictor.predict(&paths, |path, logits| {
        let result = match &logits {
            Ok(logits) => Ok((logits.as_slice(), predictor.probabilities(logits))),
            Err(reason) => Err(reason.as_str()),
        };
        output(&printer.item(&Prediction { path, result })?)?;
        if let Err(reason) = logits {
            on_failure(Failure { path: path.into(), reason });
        }
        if let Some(progress) = &mut progress {
            progress.inc(1);
        }
        Ok(())
    })?;
    output(printer.end().as_bytes())?;
    if let Some(progress) = progress {
        progress.finish();
    }
    Ok(())
}

/// Writes to stdout. On a terminal the bar makes room.
fn output(bytes: &[u8]) -> Result<()> {
    if bytes.is_empty() {
        return Ok(());
    }
    let bars = console::bars().filter(|_| io::stdout().is_terminal());
    let written = match bars {
        Some(bars) => bars.suspend(|| write(bytes)),
        None => write(bytes),
    };
    written.map_err(Error::io(Action::Write, "standard output"))
}

fn warn(failure: &Failure) {
    log::warn!("{}: {}", failure.path.display(), failure.reason);
}

/// What could be read was classified; the exit code tells that some could not: 66 when all that is
/// missing is not there, 65 otherwise.
fn summary(failures: &[Failure]) -> Error {
    let remedy = match failures.len() {
        1 => "All other images were classified.".to_owned(),
        n => format!("{} others could not be classified either; all the rest were.", n - 1),
    };
    match failures.iter().find(|failure| failure.path.symlink_metadata().is_ok()) {
        Some(Failure { path, reason }) => Error::bad_data(path, reason, remedy),
        None => {
            let path = failures.first().map(|failure| failure.path.clone()).unwrap_or_default();
            Error::InputMissing { what: "image", path, remedy }
        }
    }
}
