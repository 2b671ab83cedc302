//! A moment of a run that has a place in a plot or a log.

use jiff::{Timestamp, Unit};
use serde::{Deserialize, Serialize};

use crate::artifact::SplitMetrics;
use crate::job::Kind;
use crate::train::fit::Epoch;

/// What happened when; a line of metrics.jsonl.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// UTC, to the millisecond.
    pub time: Timestamp,
    /// Since the start of the run, to the millisecond.
    pub seconds: f64,
    /// With its name as `event`.
    #[serde(flatten)]
    pub what: What,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum What {
    /// The run began.
    Start {
        /// Name and version of this program.
        program: String,
        /// Real, or the built-in sample.
        kind: Kind,
        /// Name of the machine.
        host: String,
        /// Process id.
        pid: u32,
    },
    /// A stage began.
    Stage {
        /// As in "features".
        stage: String,
    },
    /// What the machine did since the event of this kind before.
    Machine {
        /// Part of the time of all CPUs, 0 to 1: neither idle nor waiting nor stolen.
        busy: f64,
        /// The same: taken by other virtual machines.
        steal: f64,
        /// The same: idle while something waited for a disk.
        iowait: f64,
        /// Memory of this process.
        resident_bytes: u64,
        /// From files to features: now and then, over the time since it was told before.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        images_per_second: Option<f64>,
    },
    /// An epoch ended.
    Epoch(Epoch),
    /// The kept epoch was measured on all splits.
    Result {
        /// From 1.
        best_epoch: usize,
        /// Of that epoch.
        #[serde(flatten)]
        metrics: SplitMetrics,
    },
    /// The run ended.
    End {
        /// Of the process.
        exit_code: u8,
        /// What ended it, where that was not the end of the training.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
        /// Whether its model replaced the one from before; `None` without a model.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        promoted: Option<bool>,
    },
}

impl Event {
    /// Of this moment.
    pub(super) fn now(seconds: f64, what: What) -> Self {
        let now = Timestamp::now();
        // Milliseconds are always in range.
        let time = now.round(Unit::Millisecond).unwrap_or(now);
        Event { time, seconds: (1e3 * seconds).round() / 1e3, what }
    }

    /// With the newline.
    pub(super) fn json_line(&self) -> Vec<u8> {
        // Every field is a number, a string or a list of them: this cannot fail.
        let mut line = serde_json::to_vec(self).unwrap_or_default();
        line.push(b'\n');
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;

    #[test]
    fn lines_are_flat_and_can_be_read_back() {
        let metrics = Metrics { loss: 0.5, top1_accuracy: 0.8, top5_accuracy: 1.0, num_samples: 5 };
        let epoch = Epoch { epoch: 3, learning_rate: 1e-3, train: metrics, valid: metrics };
        let splits = SplitMetrics { train: metrics, valid: metrics, test: metrics };
        let all = [
            What::Stage { stage: "features".into() },
            What::Machine {
                busy: 0.9,
                steal: 0.1,
                iowait: 0.0,
                resident_bytes: 1 << 28,
                images_per_second: None,
            },
            What::Epoch(epoch),
            What::Result { best_epoch: 3, metrics: splits },
            What::End { exit_code: 0, error: None, promoted: Some(true) },
        ];
        for what in all {
            let event = Event::now(1.5, what);
            let line = event.json_line();
            assert_eq!(serde_json::from_slice::<Event>(&line).unwrap(), event);
            let value: serde_json::Value = serde_json::from_slice(&line).unwrap();
            assert!(value["time"].as_str().unwrap().ends_with('Z'), "{value}");
            assert!(value["event"].is_string(), "{value}");
        }
        let line = Event::now(1.0, What::Result { best_epoch: 3, metrics: splits }).json_line();
        let value: serde_json::Value = serde_json::from_slice(&line).unwrap();
        assert_eq!(value["test"]["loss"], 0.5);
    }
}
