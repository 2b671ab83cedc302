//! What a run is doing, for `ec2train status` to read from another terminal.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::atomic_file;
use crate::error::Result;

const STATUS_FILE: &str = "status.json";
/// The file is renewed at most this often within a stage.
const INTERVAL: Duration = Duration::from_secs(2);

/// How far a run has come.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Process id.
    pub pid: u32,
    /// Start of the run, UTC.
    pub started: Timestamp,
    /// Of this status, UTC.
    pub updated: Timestamp,
    /// As in "features"; "done" or "failed" at the end.
    pub stage: String,
    /// Images or epochs done in this stage.
    pub done: usize,
    /// Images or epochs this stage will have at most.
    pub total: usize,
    /// The error that ended the run.
    pub error: Option<String>,
}

/// Keeps the file of a running process up to date.
#[derive(Debug)]
pub struct StatusWriter {
    path: PathBuf,
    status: Status,
    written: Instant,
}

impl StatusWriter {
    /// Starts a run in the folder of artifacts `dir`.
    ///
    /// # Errors
    /// [`crate::Error::Io`] with the path, here and below.
    pub fn start(dir: &Path) -> Result<Self> {
        let now = Timestamp::now();
        let status = Status {
            pid: std::process::id(),
            started: now,
            updated: now,
            stage: "starting".into(),
            done: 0,
            total: 0,
            error: None,
        };
        let mut writer =
            StatusWriter { path: dir.join(STATUS_FILE), status, written: Instant::now() };
        writer.write()?;
        Ok(writer)
    }

    /// Enters a stage of `total` images or epochs.
    ///
    /// # Errors
    /// See [`StatusWriter::start`].
    pub fn stage(&mut self, stage: &str, total: usize) -> Result<()> {
        stage.clone_into(&mut self.status.stage);
        (self.status.done, self.status.total) = (0, total);
        self.write()
    }

    /// Adds to what is done in this stage.
    ///
    /// # Errors
    /// See [`StatusWriter::start`].
    pub fn inc(&mut self, amount: usize) -> Result<()> {
        self.status.done += amount;
        if self.written.elapsed() < INTERVAL { Ok(()) } else { self.write() }
    }

    /// Ends the run.
    ///
    /// # Errors
    /// See [`StatusWriter::start`].
    pub fn end(mut self, error: Option<String>) -> Result<()> {
        self.status.stage = if error.is_some() { "failed" } else { "done" }.into();
        self.status.error = error;
        self.write()
    }

    fn write(&mut self) -> Result<()> {
        self.status.updated = Timestamp::now();
        self.written = Instant::now();
        let status = &self.status;
        atomic_file::replace(&self.path, |file| {
            serde_json::to_writer(&mut *file, status)?;
            writeln!(file)
        })
    }
}

/// The status of the last run in `dir`; `None` before the first, or when it cannot be understood.
pub fn read(dir: &Path) -> Option<Status> {
    serde_json::from_slice(&fs::read(dir.join(STATUS_FILE)).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_sees_the_stage_and_the_end() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read(dir.path()), None);
        let mut writer = StatusWriter::start(dir.path()).unwrap();
        writer.stage("features", 931).unwrap();
        writer.inc(8).unwrap();
        let status = read(dir.path()).unwrap();
        assert_eq!((status.stage.as_str(), status.total), ("features", 931));
        writer.end(Some("disk full".into())).unwrap();
        let status = read(dir.path()).unwrap();
        assert_eq!((status.stage.as_str(), status.done), ("failed", 8));
        assert_eq!(status.error.as_deref(), Some("disk full"));
    }
}
