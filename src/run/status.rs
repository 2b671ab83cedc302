//! What a run is doing, for `ec2train status` to read from another terminal.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, SyncSender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
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

/// Keeps the file of a running process up to date, on a thread of its own: a disk that is busy with
/// something large makes even a rename wait. That the file cannot be written is logged once: a run that
/// nobody can watch is still a run.
#[derive(Debug, Clone)]
pub struct StatusWriter {
    progress: Arc<Mutex<Progress>>,
    file: Arc<Mutex<StatusFile>>,
    /// Has the thread renew the file; `None` where there is no thread.
    due: Option<SyncSender<()>>,
}

#[derive(Debug)]
struct Progress {
    status: Status,
    stage_started: Instant,
    /// Images or epochs done by this process in this stage.
    num_counted: usize,
    /// When the file was last due.
    renewed: Instant,
    recorder: Option<Recorder>,
}

/// Locked before [`Progress`], by whoever writes, so that the latest status is written last.
#[derive(Debug)]
struct StatusFile {
    path: PathBuf,
    has_failed: bool,
    /// Whether it says how the run ended.
    is_final: bool,
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
        let progress = Progress {
            status,
            stage_started: Instant::now(),
            num_counted: 0,
            renewed: Instant::now(),
            recorder: None,
        };
        let progress = Arc::new(Mutex::new(progress));
        let file = StatusFile { path: dir.join(STATUS_FILE), has_failed: false, is_final: false };
        let file = Arc::new(Mutex::new(file));
        renew(&file, &progress);
        let due = spawn_renewal(&file, &progress);
        let writer = StatusWriter { progress, file, due };
        let forced = writer.clone();
        signals::on_forced_end(move |reason| forced.end(Err(&Error::Stopped(reason))));
        writer
    }

    /// Has this stage and all later ones put into a timeline.
    pub fn record_stages(&self, recorder: Recorder) {
        let mut progress = lock(&self.progress);
        recorder.stage(&progress.status.stage);
        progress.recorder = Some(recorder);
    }

    /// Enters a stage of `total` images or epochs.
    pub fn stage(&self, stage: &str, total: usize) {
        let mut progress = lock(&self.progress);
        if let Some(recorder) = &progress.recorder {
            recorder.stage(stage);
        }
        stage.clone_into(&mut progress.status.stage);
        (progress.status.done, progress.status.total) = (0, total);
        (progress.status.rate, progress.status.seconds_left) = (None, None);
        (progress.stage_started, progress.num_counted) = (Instant::now(), 0);
        self.have_renewed(progress);
    }

    /// Adds images to what is done in this stage.
    pub fn inc(&self, amount: usize) {
        let mut progress = lock(&self.progress);
        if let Some(recorder) = &progress.recorder {
            recorder.images(amount);
        }
        progress.status.done += amount;
        progress.num_counted += amount;
        self.have_renewed_sometimes(progress);
    }

    /// Takes note of an epoch.
    pub fn epoch(&self, epoch: &Epoch) {
        let mut progress = lock(&self.progress);
        progress.status.done = epoch.epoch;
        progress.num_counted += 1;
        progress.status.epoch = Some(epoch.clone());
        self.have_renewed_sometimes(progress);
    }

    /// Ends the run. The file says so when this returns.
    pub fn end(&self, result: std::result::Result<Model, &Error>) {
        lock(&self.progress).status.end.get_or_insert(match result {
            Ok(model) => End { exit_code: 0, error: None, model: Some(model) },
            Err(error) => {
                End { exit_code: error.exit_code(), error: Some(error.to_string()), model: None }
            }
        });
        renew(&self.file, &self.progress);
    }

    fn have_renewed_sometimes(&self, progress: MutexGuard<Progress>) {
        if progress.renewed.elapsed() >= INTERVAL {
            self.have_renewed(progress);
        }
    }

    fn have_renewed(&self, mut progress: MutexGuard<Progress>) {
        progress.renewed = Instant::now();
        drop(progress);
        match &self.due {
            // Where it is due already, what is written will be the latest.
            Some(due) => drop(due.try_send(())),
            None => renew(&self.file, &self.progress),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts the thread that renews the file when it is told to.
fn spawn_renewal(
    file: &Arc<Mutex<StatusFile>>,
    progress: &Arc<Mutex<Progress>>,
) -> Option<SyncSender<()>> {
    let (due, is_due) = mpsc::sync_channel(1);
    let (file, progress) = (Arc::clone(file), Arc::clone(progress));
    let renew_when_due = move || {
        while is_due.recv().is_ok() {
            renew(&file, &progress);
        }
    };
    thread::Builder::new().name("status".into()).spawn(renew_when_due).ok().map(|_| due)
}

/// Writes the status as it is now. Nothing once the end is written, when the process may be about to end too and
/// would leave half a file.
fn renew(file: &Mutex<StatusFile>, progress: &Mutex<Progress>) {
    let mut file = lock(file);
    if file.is_final {
        return;
    }
    let status = lock(progress).latest();
    file.is_final = status.end.is_some();
    if let Err(error) = write(&file.path, &status)
        && !file.has_failed
    {
        file.has_failed = true;
        log::warn!("`ec2train status` will not show this run: {error}");
    }
}

fn write(path: &Path, status: &Status) -> Result<()> {
    let mut bytes = serde_json::to_vec(status)
        .map_err(|error| Error::Internal(format!("cannot write JSON: {error}")))?;
    bytes.push(b'\n');
    atomic_file::replace_unsynced(path, &bytes)
}

impl Progress {
    fn latest(&mut self) -> Status {
        let Progress { status, stage_started, num_counted, .. } = self;
        let seconds = stage_started.elapsed().as_secs_f64();
        if status.end.is_none() && *num_counted > 0 && seconds > 0.0 {
            let rate = *num_counted as f64 / seconds;
            status.rate = Some(rate);
            status.seconds_left = Some(status.total.saturating_sub(status.done) as f64 / rate);
        }
        status.updated = Timestamp::now();
        status.clone()
    }
}

/// The status of the last run in `dir`; `None` before the first, or when it cannot be understood.
pub fn read(dir: &Path) -> Option<Status> {
    serde_json::from_slice(&fs::read(dir.join(STATUS_FILE)).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first status that is as wanted.
    fn await_status(dir: &Path, is_wanted: impl Fn(&Status) -> bool) -> Status {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let status = read(dir).unwrap();
            if is_wanted(&status) {
                return status;
            }
            assert!(Instant::now() < deadline, "{status:?}");
            thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn a_reader_sees_the_stage_and_the_end() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read(dir.path()), None);
        let writer = StatusWriter::start(dir.path());
        writer.stage("features", 931);
        writer.inc(8);
        let status = await_status(dir.path(), |status| status.total == 931);
        assert_eq!((status.stage.as_str(), status.end), ("features", None));
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
        lock(&writer.progress).stage_started = earlier;
        lock(&writer.progress).renewed = earlier;
        writer.inc(50);
        let status = await_status(dir.path(), |status| status.done == 50);
        assert!((status.rate.unwrap() - 5.0).abs() < 0.5, "{status:?}");
        assert!((status.seconds_left.unwrap() - 10.0).abs() < 1.0, "{status:?}");
    }

    #[test]
    fn the_latest_status_is_the_last_one_and_nothing_half_written_is_left() {
        for _ in 0..50 {
            let dir = tempfile::tempdir().unwrap();
            let writer = StatusWriter::start(dir.path());
            for total in 0..20 {
                writer.stage("features", total);
            }
            writer.end(Err(&Error::Internal("x".into())));
            let ended = read(dir.path()).unwrap();
            assert!(ended.end.is_some() && ended.total == 19, "{ended:?}");
            assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
            // Its thread is still there.
            writer.stage("features", 20);
            thread::yield_now();
            assert_eq!(read(dir.path()).unwrap(), ended);
        }
    }

    #[test]
    fn a_folder_that_cannot_be_written_to_ends_no_run() {
        let writer = StatusWriter::start(Path::new("/nonexistent"));
        writer.stage("features", 931);
        writer.end(Err(&Error::Internal("x".into())));
    }
}
