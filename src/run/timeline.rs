//! What the machine did over a run.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::config::{SAMPLE_INTERVAL, TIMELINE_SAMPLES};
use crate::run::cpu_time::{CpuCounters, CpuTime};

/// The machine between the sample before and this one; the first begins with the run.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Sample {
    /// Since the start of the run.
    pub seconds: f64,
    /// Part of the time of all CPUs, 0 to 1: neither idle nor waiting nor stolen.
    pub busy: f64,
    /// The same: taken by other virtual machines while there was work to do here.
    pub steal: f64,
    /// The same: idle while something waited for a disk.
    pub iowait: f64,
    /// Of this process, at the end of that time.
    pub resident_bytes: u64,
}

/// A part of a run, as `ec2train status` calls it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stage {
    /// As in "features".
    pub name: String,
    /// Since the start of the run.
    pub start_seconds: f64,
    /// The same; where the next one starts.
    pub end_seconds: f64,
}

/// A run from its start to this moment.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Timeline {
    /// In order of time, at most [`TIMELINE_SAMPLES`].
    pub samples: Vec<Sample>,
    /// In order of time, without gaps.
    pub stages: Vec<Stage>,
}

impl Timeline {
    /// Adds a sample that is later than all others. When there are [`TIMELINE_SAMPLES`], every two
    /// become one that stands for the time of both, with the larger memory.
    pub fn push(&mut self, sample: Sample) {
        if self.samples.len() >= TIMELINE_SAMPLES {
            self.thin_out();
        }
        self.samples.push(sample);
    }

    /// Makes one of the last two samples if the last has less than these seconds. Tells if it has.
    fn join_short_end(&mut self, seconds: f64) -> bool {
        if let [.., before, last] = self.samples[..]
            && last.seconds - before.seconds < seconds
        {
            self.samples.truncate(self.samples.len() - 2);
            let start = self.samples.last().map_or(0.0, |sample| sample.seconds);
            self.samples.push(merge(start, &before, &last));
            return true;
        }
        false
    }

    fn thin_out(&mut self) {
        let mut before = 0.0;
        let thinned = self.samples.chunks(2).map(|pair| {
            let merged = pair[1..].iter().fold(pair[0], |a, b| merge(before, &a, b));
            before = merged.seconds;
            merged
        });
        self.samples = thinned.collect();
    }
}

/// Of `a`, which begins `before`, and `b`, which follows it.
fn merge(before: f64, a: &Sample, b: &Sample) -> Sample {
    let whole = (b.seconds - before).max(f64::MIN_POSITIVE);
    let part = (a.seconds - before) / whole;
    let mean = |a: f64, b: f64| a * part + b * (1.0 - part);
    Sample {
        seconds: b.seconds,
        busy: mean(a.busy, b.busy),
        steal: mean(a.steal, b.steal),
        iowait: mean(a.iowait, b.iowait),
        resident_bytes: a.resident_bytes.max(b.resident_bytes),
    }
}

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
    /// CPU's clock say nothing.
    pub fn end(&self, counters: CpuCounters, resident_bytes: u64) {
        let mut inner = self.lock();
        let sample = inner.take(counters, resident_bytes);
        inner.timeline.push(sample);
        let shortest = inner.interval.as_secs_f64() / 2.0;
        if !inner.timeline.join_short_end(shortest)
            && let Some(observer) = &mut inner.observer
        {
            observer.sample(&sample);
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
    use proptest::prelude::*;

    use super::*;

    /// The mean of `value` over the time of all samples.
    fn mean(samples: &[Sample], value: impl Fn(&Sample) -> f64) -> f64 {
        let mut before = 0.0;
        let mut sum = 0.0;
        for sample in samples {
            sum += value(sample) * (sample.seconds - before);
            before = sample.seconds;
        }
        sum / before
    }

    proptest! {
        #[test]
        fn a_timeline_stays_small_and_keeps_means_and_peaks(
            steps in prop::collection::vec((0.001..10.0f64, 0.0..1.0f64, 0..1u64 << 40), 1..3000)
        ) {
            let mut timeline = Timeline::default();
            let mut all = Vec::new();
            let mut seconds = 0.0;
            for (step, busy, resident_bytes) in steps {
                seconds += step;
                let (steal, iowait) = ((1.0 - busy) / 2.0, (1.0 - busy) / 4.0);
                let sample = Sample { seconds, busy, steal, iowait, resident_bytes };
                timeline.push(sample);
                all.push(sample);
            }
            let samples = &timeline.samples;
            prop_assert!(samples.len() <= TIMELINE_SAMPLES);
            prop_assert!(samples.len() >= all.len().min(TIMELINE_SAMPLES / 2));
            prop_assert!(samples.windows(2).all(|pair| pair[0].seconds < pair[1].seconds));
            prop_assert_eq!(samples.last().map(|last| last.seconds), Some(seconds));
            for value in [|s: &Sample| s.busy, |s: &Sample| s.steal, |s: &Sample| s.iowait] {
                prop_assert!((mean(samples, value) - mean(&all, value)).abs() < 1e-9);
            }
            let peak = |samples: &[Sample]| samples.iter().map(|s| s.resident_bytes).max();
            prop_assert_eq!(peak(samples), peak(&all));
        }
    }

    #[test]
    fn samples_become_rarer_as_a_run_lasts() {
        let recorder = Recorder::start(CpuCounters::default());
        let pauses: Vec<Duration> =
            (0..2 * TIMELINE_SAMPLES).map(|_| recorder.sample(CpuCounters::default(), 1)).collect();
        let rarer = |factor| pauses.iter().position(|&pause| pause == factor * SAMPLE_INTERVAL);
        assert_eq!([rarer(1), rarer(2), rarer(4)].map(Option::unwrap), [0, 400, 600]);
        assert!(recorder.timeline().samples.len() <= TIMELINE_SAMPLES);
    }

    #[test]
    fn the_last_sample_has_no_time_of_its_own_if_it_comes_at_once() {
        let sample = |seconds, busy| Sample { seconds, busy, ..Sample::default() };
        let mut timeline = Timeline::default();
        for (seconds, busy, len) in [(0.4, 0.5, 1), (0.5, 1.0, 1), (0.75, 1.0, 2)] {
            timeline.push(sample(seconds, busy));
            timeline.join_short_end(0.125);
            assert_eq!(timeline.samples.len(), len);
        }
        assert_eq!(timeline.samples[0].seconds, 0.5);
        assert!((timeline.samples[0].busy - 0.6).abs() < 1e-12, "{timeline:?}");
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
