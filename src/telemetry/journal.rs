//! Writes the events of a run into files, for as long as it lasts and when it has ended.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::emf::{self, Origin};
use super::event::{Event, What};
use super::image_rate::ImageRate;
use super::live_file::LiveFile;
use super::tensorboard;
use crate::artifact::{METRICS_FILE, SplitMetrics, runs_dir};
use crate::atomic_file;
use crate::config::{LIVE_DIR, METRICS_LOG, METRICS_LOG_BYTES};
use crate::error::{Error, Result};
use crate::job::Kind;
use crate::run::recorder::Observer;
use crate::run::signals;
use crate::run::timeline::Sample;
use crate::train::fit::Epoch;

/// Lines for CloudWatch in the folder of a training.
const EMF_FILE: &str = "metrics.emf.jsonl";

/// Where the metrics of a run lie while it goes on, in the folder of artifacts `dir`.
pub fn live_metrics_path(dir: &Path) -> PathBuf {
    live_dir(dir).join(METRICS_FILE)
}

fn live_dir(dir: &Path) -> PathBuf {
    runs_dir(dir).join(LIVE_DIR)
}

/// The events of a run; clones write to the same one. That they cannot be written is logged once: a
/// run that nobody can watch is still a run.
#[derive(Debug, Clone)]
pub struct Journal(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    started: Instant,
    origin: Origin,
    events: Vec<Event>,
    live_dir: PathBuf,
    live: Vec<(Format, LiveFile)>,
    has_warned: bool,
    has_ended: bool,
    images: ImageRate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    JsonLines,
    TensorBoard,
    Emf,
}

impl Journal {
    /// Starts with a run of `program` in the folder of artifacts `dir`.
    pub fn start(dir: &Path, kind: Kind, program: String) -> Self {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let origin = Origin { kind, host: host.clone(), pid: std::process::id() };
        let mut inner = Inner {
            started: Instant::now(),
            origin,
            events: Vec::new(),
            live_dir: live_dir(dir),
            live: Vec::new(),
            has_warned: false,
            has_ended: false,
            images: ImageRate::new(Instant::now()),
        };
        let start = Event::now(0.0, What::Start { program, kind, host, pid: std::process::id() });
        let opened = inner.open_own(&start);
        for error in
            [opened, inner.open_shared(&dir.join(METRICS_LOG))].into_iter().flat_map(Result::err)
        {
            inner.warn(&error);
        }
        inner.write(start);
        let journal = Journal(Arc::new(Mutex::new(inner)));
        let forced = journal.clone();
        signals::on_forced_end(move |reason| forced.end(Err(&Error::Stopped(reason))));
        journal
    }

    /// Takes note of an epoch.
    pub fn epoch(&self, epoch: &Epoch) {
        self.lock().happened(What::Epoch(epoch.clone()));
    }

    /// Takes note of the measures of the kept epoch.
    pub fn result(&self, best_epoch: usize, metrics: SplitMetrics) {
        self.lock().happened(What::Result { best_epoch, metrics });
    }

    /// Writes everything into the folder `dir` of a training that is about to end well. Epochs of
    /// `history` that ended before this run went on with the fit get the time when it did.
    pub fn write_files(&self, dir: &Path, history: &[Epoch], promoted: bool) {
        let mut inner = self.lock();
        let mut events = with_earlier_epochs(&inner.events, history);
        let end = What::End { exit_code: 0, error: None, promoted: Some(promoted) };
        events.push(Event::now(inner.started.elapsed().as_secs_f64(), end));
        for format in [Format::JsonLines, Format::TensorBoard, Format::Emf] {
            if let Err(error) = inner.write_file(format, dir, &events) {
                inner.warn(&error);
            }
        }
    }

    /// Ends the run: with whether its model was promoted, or with what ended it. The files of a
    /// training that ended well are in its own folder; those of any other stay until the next run.
    pub fn end(&self, result: std::result::Result<bool, &Error>) {
        let mut inner = self.lock();
        inner.happened(match result {
            Ok(promoted) => What::End { exit_code: 0, error: None, promoted: Some(promoted) },
            Err(error) => What::End {
                exit_code: error.exit_code(),
                error: Some(error.to_string()),
                promoted: None,
            },
        });
        inner.has_ended = true;
        inner.live.clear();
        if result.is_ok() {
            // Where it was never made there is nothing to remove.
            let _ = fs::remove_dir_all(&inner.live_dir);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Journal {
    fn stage(&mut self, name: &str) {
        let mut inner = self.lock();
        inner.images.begin_stage(Instant::now());
        inner.happened(What::Stage { stage: name.to_owned() });
    }

    fn images(&mut self, number: usize) {
        self.lock().images.add(number, Instant::now());
    }

    fn sample(&mut self, sample: &Sample) {
        let Sample { busy, steal, iowait, resident_bytes, .. } = *sample;
        let mut inner = self.lock();
        let images_per_second = inner.images.take();
        inner.happened(What::Machine { busy, steal, iowait, resident_bytes, images_per_second });
    }
}

impl Inner {
    /// Opens the run's own files. Those of an earlier run that did not end well are deleted.
    fn open_own(&mut self, start: &Event) -> Result<()> {
        let dir = &self.live_dir;
        // What is not there need not be deleted; what cannot be is in the way of the next line.
        let _ = fs::remove_dir_all(dir);
        atomic_file::create_dir(dir)?;
        let json_lines = LiveFile::create(&dir.join(METRICS_FILE))?;
        self.live.push((Format::JsonLines, json_lines));
        let name = self.file_name(Format::TensorBoard, start);
        let mut tensorboard = LiveFile::create(&dir.join(name))?;
        tensorboard.append(&tensorboard::header(start))?;
        self.live.push((Format::TensorBoard, tensorboard));
        Ok(())
    }

    /// Opens the log that runs share.
    fn open_shared(&mut self, log: &Path) -> Result<()> {
        self.live.push((Format::Emf, LiveFile::continue_lines(log, METRICS_LOG_BYTES)?));
        Ok(())
    }

    fn happened(&mut self, what: What) {
        if !self.has_ended {
            self.write(Event::now(self.started.elapsed().as_secs_f64(), what));
        }
    }

    fn write(&mut self, event: Event) {
        let mut live = std::mem::take(&mut self.live);
        live.retain_mut(|(format, file)| {
            let written = file.append(&format.encode(&event, &self.origin));
            written.inspect_err(|error| self.warn(error)).is_ok()
        });
        self.live = live;
        self.events.push(event);
    }

    fn write_file(&self, format: Format, dir: &Path, events: &[Event]) -> Result<()> {
        let [start, ..] = events else { return Ok(()) };
        let header = match format {
            Format::TensorBoard => tensorboard::header(start),
            Format::JsonLines | Format::Emf => Vec::new(),
        };
        let bytes = events.iter().fold(header, |mut bytes, event| {
            bytes.extend(format.encode(event, &self.origin));
            bytes
        });
        atomic_file::replace_unsynced(&dir.join(self.file_name(format, start)), &bytes)
    }

    fn file_name(&self, format: Format, start: &Event) -> String {
        match format {
            Format::JsonLines => METRICS_FILE.into(),
            Format::Emf => EMF_FILE.into(),
            Format::TensorBoard => {
                let Origin { host, pid, .. } = &self.origin;
                tensorboard::file_name(start.time.as_second(), host, *pid)
            }
        }
    }

    fn warn(&mut self, error: &Error) {
        if !self.has_warned {
            self.has_warned = true;
            log::warn!("metrics of this run will be missing: {error}");
        }
    }
}

impl Format {
    fn encode(self, event: &Event, origin: &Origin) -> Vec<u8> {
        match self {
            Format::JsonLines => event.json_line(),
            Format::TensorBoard => tensorboard::record(event),
            Format::Emf => emf::line(event, origin),
        }
    }
}

/// `events` with the epochs of `history` that are not among them, in front of those that are.
fn with_earlier_epochs(events: &[Event], history: &[Epoch]) -> Vec<Event> {
    let is_epoch = |event: &Event| matches!(event.what, What::Epoch(_));
    let num_seen = events.iter().filter(|event| is_epoch(event)).count();
    let is_result = |event: &Event| matches!(event.what, What::Result { .. });
    let place = events.iter().position(|event| is_epoch(event) || is_result(event));
    let (before, after) = events.split_at(place.unwrap_or(events.len()));
    let earlier = &history[..history.len().saturating_sub(num_seen)];
    let mut all = before.to_vec();
    if let Some(last) = before.last() {
        let at = |epoch: &Epoch| Event { what: What::Epoch(epoch.clone()), ..last.clone() };
        all.extend(earlier.iter().map(at));
    }
    all.extend_from_slice(after);
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;

    fn epoch(number: usize) -> Epoch {
        let metrics = Metrics { loss: 1.0, top1_accuracy: 0.5, top5_accuracy: 0.5, num_samples: 2 };
        Epoch { epoch: number, learning_rate: 1e-3, train: metrics, valid: metrics }
    }

    fn names(path: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(path)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    fn events(path: &Path) -> Vec<Event> {
        let text = fs::read_to_string(path).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn a_run_can_be_followed_and_leaves_its_files_where_it_is_told_to() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::start(dir.path(), Kind::Real, "ec2train 0".into());
        journal.clone().stage("epochs");
        journal.epoch(&epoch(3));
        let live = live_metrics_path(dir.path());
        assert_eq!(events(&live).len(), 3);
        let target = tempfile::tempdir().unwrap();
        journal.write_files(target.path(), &[epoch(1), epoch(2), epoch(3)], true);
        journal.end(Ok(true));
        // Only the first end counts.
        journal.end(Err(&Error::Internal("late".into())));

        let seen: Vec<What> =
            events(&target.path().join(METRICS_FILE)).into_iter().map(|event| event.what).collect();
        let expected: Vec<What> = (1..=3).map(|number| What::Epoch(epoch(number))).collect();
        assert_eq!(seen[2..5], expected);
        assert!(matches!(seen[5], What::End { exit_code: 0, .. }), "{seen:?}");
        let [first, second, third] = &names(target.path())[..] else { panic!() };
        assert!(first.starts_with("events.out.tfevents."), "{first}");
        assert_eq!([second, third], ["metrics.emf.jsonl", "metrics.jsonl"]);
        assert!(!live.exists());
        // One epoch and the end.
        let log = fs::read_to_string(dir.path().join(METRICS_LOG)).unwrap();
        assert_eq!(log.lines().count(), 2, "{log}");
    }

    #[test]
    fn what_cannot_be_written_stops_nobody() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("runs"), "in the way").unwrap();
        let journal = Journal::start(dir.path(), Kind::Real, "ec2train 0".into());
        journal.epoch(&epoch(1));
        journal.write_files(&dir.path().join("missing"), &[epoch(1)], true);
        journal.end(Ok(true));
        assert!(journal.lock().has_warned);
    }
}
