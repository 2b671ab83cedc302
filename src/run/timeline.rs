//! What the machine did over a run.

use serde::{Deserialize, Serialize};

use crate::config::TIMELINE_SAMPLES;

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

    /// Makes one of the last two samples if the last has less than these seconds.
    pub(super) fn join_short_end(&mut self, seconds: f64) {
        if let [.., before, last] = self.samples[..]
            && last.seconds - before.seconds < seconds
        {
            self.samples.truncate(self.samples.len() - 2);
            let start = self.samples.last().map_or(0.0, |sample| sample.seconds);
            self.samples.push(merge(start, &before, &last));
        }
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
}
