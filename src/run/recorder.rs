//! Takes down the timeline of a run.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::cpu_time::{CpuCounters, CpuTime};
use super::timeline::{Sample, Stage, Timeline};
use crate::config::SAMPLE_INTERVAL;

/// Follows a run as it goes on. It is called under a lock: what it does is to be short.
pub trait Observer: Send + fmt::Debug {
    /// A stage begins.
    fn stage(&mut self, name: &str);
    /// This many images were computed.
    fn images(&mut self, number: usize);
    /// A sample was taken.
    fn sample(&mut self, sample: &Sample);
}

/// Takes down the timeline of a run; its clones write to the same one.
#[derive(Debug, Clone)]
pub struct Recorder(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    started: Instant,
    counters: CpuCounters,
    interval: Duration,
    timeline: Timeline,
    observer: Option<Box<dyn Observer>>,
}

impl Recorder {
    /// Starts with the run; `counters` are those of this moment.
    pub fn start(counters: CpuCounters) -> Self {
        Recorder(Arc::new(Mutex::new(Inner {
            started: Instant::now(),
            counters,
            interval: SAMPLE_INTERVAL,
            timeline: Timeline::default(),
            observer: None,
        })))
    }

    /// Has everything told to `observer` from now on.
    pub fn observe(&self, observer: impl Observer + 'static) {
        self.lock().observer = Some(Box::new(observer));
    }

    /// Enters a stage, which ends the one before.
    pub fn stage(&self, name: &str) {
        let mut inner = self.lock();
        let now = inner.started.elapsed().as_secs_f64();
        let stages = &mut inner.timeline.stages;
        if let Some(last) = stages.last_mut() {
            last.end_seconds = now;
        }
        stages.push(Stage { name: name.to_owned(), start_seconds: now, end_seconds: now });
        if let Some(observer) = &mut inner.observer {
            observer.stage(name);
        }
    }

    /// Counts images that were computed.
    pub fn images(&self, number: usize) {
        if let Some(observer) = &mut self.lock().observer {
            observer.images(number);
        }
    }

    /// Takes a sample of the time since the one before, and tells after which time the next is due:
    /// the more samples there are, the longer.
    pub fn sample(&self, counters: CpuCounters, resident_bytes: u64) -> Duration {
        let mut inner = self.lock();
        let sample = inner.take(counters, resident_bytes);
        let num_before = inner.timeline.samples.len();
        inner.timeline.push(sample);
        if inner.timeline.samples.len() < num_before {
            inner.interval *= 2;
        }
        if let Some(observer) = &mut inner.observer {
            observer.sample(&sample);
        }
        inner.interval
    }

    /// Takes the last sample, as part of the one before where that is a moment ago: a few ticks of a
    /// CPU's clock say nothing. The observer is told either way, since it may wait for a sample with what
    /// it has counted.
    pub fn end(&self, counters: CpuCounters, resident_bytes: u64) {
        let mut inner = self.lock();
        let sample = inner.take(counters, resident_bytes);
        inner.timeline.push(sample);
        let shortest = inner.interval.as_secs_f64() / 2.0;
        inner.timeline.join_short_end(shortest);
        let Inner { timeline, observer, .. } = &mut *inner;
        if let (Some(observer), Some(last)) = (observer, timeline.samples.last()) {
            observer.sample(last);
        }
    }

    /// What there is so far. The latest stage ends now.
    pub fn timeline(&self) -> Timeline {
        let inner = self.lock();
        let mut timeline = inner.timeline.clone();
        if let Some(last) = timeline.stages.last_mut() {
            last.end_seconds = inner.started.elapsed().as_secs_f64();
        }
        timeline
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn take(&mut self, counters: CpuCounters, resident_bytes: u64) -> Sample {
        let CpuTime { busy, steal, iowait } = counters.since(self.counters);
        self.counters = counters;
        let seconds = self.started.elapsed().as_secs_f64();
        Sample { seconds, busy, steal, iowait, resident_bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::TIMELINE_SAMPLES;

    #[test]
    fn samples_become_rarer_as_a_run_lasts() {
        let recorder = Recorder::start(CpuCounters::default());
        let pauses: Vec<Duration> =
            (0..2 * TIMELINE_SAMPLES).map(|_| recorder.sample(CpuCounters::default(), 1)).collect();
        let rarer = |factor| pauses.iter().position(|&pause| pause == factor * SAMPLE_INTERVAL);
        let expected = [0, TIMELINE_SAMPLES, TIMELINE_SAMPLES * 3 / 2];
        assert_eq!([rarer(1), rarer(2), rarer(4)].map(Option::unwrap), expected);
        assert!(recorder.timeline().samples.len() <= TIMELINE_SAMPLES);
    }

    #[test]
    fn stages_follow_each_other_without_gaps() {
        let recorder = Recorder::start(CpuCounters::default());
        assert!(recorder.timeline().stages.is_empty());
        for name in ["features", "epochs", "saving"] {
            recorder.stage(name);
        }
        let stages = recorder.timeline().stages;
        assert_eq!(stages.iter().map(|stage| stage.name.as_str()).next_back(), Some("saving"));
        assert_eq!(stages.len(), 3);
        assert!(stages.windows(2).all(|pair| pair[0].end_seconds == pair[1].start_seconds));
        assert!(stages.iter().all(|stage| stage.start_seconds <= stage.end_seconds));
    }
}
