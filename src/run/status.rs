//! What a run is doing, for `ec2train status` to read from another terminal.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::recorder::Recorder;
use super::signals;
use crate::artifact::SplitMetrics;
use crate::atomic_file;
use crate::error::{Error, Result};
use crate::train::fit::Epoch;

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
    /// As in "features"; the last one when the run has ended.
    pub stage: String,
    /// Images or epochs done in this stage.
    pub done: usize,
    /// Images or epochs this stage will have at most.
    pub total: usize,
    /// Images or epochs a second in this stage; `None` before the first.
    pub rate: Option<f64>,
    /// Until the end of this stage at that rate.
    pub seconds_left: Option<f64>,
    /// The latest epoch.
    pub epoch: Option<Epoch>,
    /// How the run ended; `None` while it runs, and when it was killed.
    pub end: Option<End>,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct End {
    /// Of the process.
    pub exit_code: u8,
    /// What ended it, where that was not the end of the training.
    pub error: Option<String>,
    /// The model, where there is one.
    pub model: Option<Model>,
}

/// The model that a run made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// Where it is kept.
    pub path: PathBuf,
    /// Whether it replaced the one from before.
    pub promoted: bool,
    /// Of the kept epoch.
    pub metrics: SplitMetrics,
}

/// Keeps the file of a running process up to date. That the file cannot be written is logged once:
/// a run that nobody can watch is still a run.
#[derive(Debug, Clone)]
pub struct StatusWriter(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    status: Status,
    stage_started: Instant,
    /// Images or epochs done by this process in this stage.
    num_counted: usize,
    written: Instant,
    has_failed: bool,
    recorder: Option<Recorder>,
}

impl StatusWriter {
    /// Starts a run in the folder of artifacts `dir`.
    pub fn start(dir: &Path) -> Self {
        let now = Timestamp::now();
        let status = Status {
            pid: std::process::id(),
            started: now,
            updated: now,
            stage: "starting".into(),
            done: 0,
            total: 0,
            rate: None,
            seconds_left: None,
            epoch: None,
            end: None,
        };
        let mut inner = Inner {
            path: dir.join(STATUS_FILE),
            status,
            stage_started: Instant::now(),
            num_counted: 0,
            written: Instant::now(),
            has_failed: false,
            recorder: None,
        };
        inner.write();
        let writer = StatusWriter(Arc::new(Mutex::new(inner)));
        let forced = writer.clone();
        signals::on_forced_end(move |reason| forced.end(Err(&Error::Stopped(reason))));
        writer
    }

    /// Has this stage and all later ones put into a timeline.
    pub fn record_stages(&self, recorder: Recorder) {
        let mut inner = self.lock();
        recorder.stage(&inner.status.stage);
        inner.recorder = Some(recorder);
    }

    /// Enters a stage of `total` images or epochs.
    pub fn stage(&self, stage: &str, total: usize) {
        let mut inner = self.lock();
        if let Some(recorder) = &inner.recorder {
            recorder.stage(stage);
        }
        stage.clone_into(&mut inner.status.stage);
        (inner.status.done, inner.status.total) = (0, total);
        (inner.status.rate, inner.status.seconds_left) = (None, None);
        (inner.stage_started, inner.num_counted) = (Instant::now(), 0);
        inner.write();
    }

    /// Adds images to what is done in this stage.
    pub fn inc(&self, amount: usize) {
        let mut inner = self.lock();
        if let Some(recorder) = &inner.recorder {
            recorder.images(amount);
        }
        inner.status.done += amount;
        inner.num_counted += amount;
        inner.write_sometimes();
    }

    /// Takes note of an epoch.
    pub fn epoch(&self, epoch: &Epoch) {
        let mut inner = self.lock();
        inner.status.done = epoch.epoch;
        inner.num_counted += 1;
        inner.status.epoch = Some(epoch.clone());
        inner.write_sometimes();
    }

    /// Ends the run.
    pub fn end(&self, result: std::result::Result<Model, &Error>) {
        let mut inner = self.lock();
        inner.status.end.get_or_insert(match result {
            Ok(model) => End { exit_code: 0, error: None, model: Some(model) },
            Err(error) => {
                End { exit_code: error.exit_code(), error: Some(error.to_string()), model: None }
            }
        });
        inner.write();
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn write_sometimes(&mut self) {
        if self.written.elapsed() >= INTERVAL {
            self.write();
        }
    }

    fn write(&mut self) {
        let Inner { status, stage_started, num_counted, .. } = self;
        let seconds = stage_started.elapsed().as_secs_f64();
        if status.end.is_none() && *num_counted > 0 && seconds > 0.0 {
            let rate = *num_counted as f64 / seconds;
            status.rate = Some(rate);
            status.seconds_left = Some(status.total.saturating_sub(status.done) as f64 / rate);
        }
        status.updated = Timestamp::now();
        self.written = Instant::now();
        if let Err(error) = self.try_write()
            && !self.has_failed
        {
            self.has_failed = true;
            log::warn!("`ec2train status` will not show this run: {error}");
        }
    }

    fn try_write(&self) -> Result<()> {
        let mut bytes = serde_json::to_vec(&self.status)
            .map_err(|error| Error::Internal(format!("cannot write JSON: {error}")))?;
        bytes.push(b'\n');
        atomic_file::replace_unsynced(&self.path, &bytes)
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
        let writer = StatusWriter::start(dir.path());
        writer.stage("features", 931);
        writer.inc(8);
        let status = read(dir.path()).unwrap();
        assert_eq!((status.stage.as_str(), status.total), ("features", 931));
        assert_eq!(status.end, None);
        writer.end(Err(&Error::Internal("disk full".into())));
        // The first end counts.
        writer.end(Err(&Error::Stopped(signals::StopReason::Terminate)));
        let status = read(dir.path()).unwrap();
        assert_eq!((status.stage.as_str(), status.done), ("features", 8));
        let end = status.end.unwrap();
        assert_eq!(end.exit_code, 70);
        assert!(end.error.unwrap().contains("disk full"));
    }

    #[test]
    fn the_rate_gives_the_time_that_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let writer = StatusWriter::start(dir.path());
        writer.stage("features", 100);
        let earlier = Instant::now().checked_sub(Duration::from_secs(10)).unwrap();
        writer.lock().stage_started = earlier;
        writer.lock().written = earlier;
        writer.inc(50);
        let status = read(dir.path()).unwrap();
        assert!((status.rate.unwrap() - 5.0).abs() < 0.5, "{status:?}");
        assert!((status.seconds_left.unwrap() - 10.0).abs() < 1.0, "{status:?}");
    }

    #[test]
    fn a_folder_that_cannot_be_written_to_ends_no_run() {
        let writer = StatusWriter::start(Path::new("/nonexistent"));
        writer.stage("features", 931);
        writer.end(Err(&Error::Internal("x".into())));
    }
}
