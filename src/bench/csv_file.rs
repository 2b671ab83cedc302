//! Benchmarks one under the other, for a spreadsheet.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;

use super::report::Report;
use crate::atomic_file;
use crate::error::{Action, Error, Result};

/// A row for each figure: columns stay the same whatever engines a CPU runs.
const COLUMNS: [&str; 15] = [
    "created",
    "program",
    "cpu_model",
    "instructions",
    "num_cpus",
    "memory_bytes",
    "stage",
    "unit",
    "num_threads",
    "median",
    "lower_quartile",
    "upper_quartile",
    "num_rounds",
    "steal",
    "peak_memory_bytes",
];

/// Appends the report's figures to the CSV file at `path`, which is created with its folder and a
/// line of column names.
///
/// # Errors
/// [`Error::Io`] with the path; [`Error::BadData`] when the file has other columns.
pub fn append(path: &Path, report: &Report) -> Result<()> {
    if let Some(dir) = path.parent() {
        atomic_file::create_dir(dir)?;
    }
    let header = line(&COLUMNS.map(String::from));
    let is_new = match fs::read_to_string(path) {
        Ok(text) if text.starts_with(&header) => false,
        Ok(text) if text.is_empty() => true,
        Ok(_) => {
            return Err(Error::bad_data(
                path,
                "its first line is not that of this version",
                "Move the file away; the next benchmark begins a new one.",
            ));
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => true,
        Err(error) => return Err(Error::io(Action::Read, path)(error)),
    };
    let mut text = if is_new { header } else { String::new() };
    for figure in &report.figures {
        text += &line(&[
            format!("{:.0}", report.created),
            report.program.clone(),
            report.host.cpu_model.clone(),
            report.instructions.join(" "),
            report.host.num_cpus.to_string(),
            report.host.memory_bytes.to_string(),
            figure.name.clone(),
            figure.unit.to_owned(),
            figure.num_threads.to_string(),
            figure.quartiles.median.to_string(),
            figure.quartiles.lower.to_string(),
            figure.quartiles.upper.to_string(),
            figure.quartiles.num_rounds.to_string(),
            report.cpu.steal.to_string(),
            report.peak_memory_bytes.to_string(),
        ]);
    }
    // One write, so that two benchmarks at once do not mix their rows.
    let mut file = OpenOptions::new()
        .append(true)
        .create(true)
        .open(path)
        .map_err(Error::io(Action::Create, path))?;
    file.write_all(text.as_bytes()).map_err(Error::io(Action::Write, path))
}

/// RFC 4180: fields that hold a comma, a quote or a line break are quoted.
fn line(fields: &[String]) -> String {
    let quoted = fields.iter().map(|field| {
        if field.contains([',', '"', '\n', '\r']) {
            format!("\"{}\"", field.replace('"', "\"\""))
        } else {
            field.clone()
        }
    });
    quoted.collect::<Vec<_>>().join(",") + "\n"
}
