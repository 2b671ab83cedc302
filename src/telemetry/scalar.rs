//! The figures of an event, by the names under which other programs plot them.

use super::event::{Event, What};
use crate::metrics::Metrics;

/// What a figure counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// No unit: a loss in nats, a learning rate.
    None,
    /// 0 to 1.
    Fraction,
    Bytes,
    PerSecond,
    Seconds,
    Count,
}

/// A finite figure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Scalar {
    /// In TensorBoard, in front of the slash the group of plots; `None` for what is no curve.
    pub(super) tag: Option<&'static str>,
    /// In CloudWatch.
    pub(super) name: &'static str,
    pub(super) unit: Unit,
    pub(super) value: f64,
}

/// Tags and names of loss, top-1 and top-5 accuracy on one split.
type SplitNames = [(&'static str, &'static str); 3];
const TRAIN: SplitNames = [
    ("loss/train", "TrainLoss"),
    ("top1_accuracy/train", "TrainTop1Accuracy"),
    ("top5_accuracy/train", "TrainTop5Accuracy"),
];
const VALID: SplitNames = [
    ("loss/valid", "ValidLoss"),
    ("top1_accuracy/valid", "ValidTop1Accuracy"),
    ("top5_accuracy/valid", "ValidTop5Accuracy"),
];
const TEST: SplitNames = [
    ("loss/test", "TestLoss"),
    ("top1_accuracy/test", "TestTop1Accuracy"),
    ("top5_accuracy/test", "TestTop5Accuracy"),
];

impl Event {
    /// The event's place on the axis of its plots: the epoch, or the milliseconds since the start.
    pub(super) fn step(&self) -> i64 {
        match &self.what {
            What::Epoch(epoch) => epoch.epoch as i64,
            What::Result { best_epoch, .. } => *best_epoch as i64,
            _ => (1e3 * self.seconds).round() as i64,
        }
    }

    /// Without those that are not a number.
    pub(super) fn scalars(&self) -> Vec<Scalar> {
        let figure = |tag, name, unit, value| Scalar { tag: Some(tag), name, unit, value };
        let mut scalars = match &self.what {
            What::Start { .. } | What::Stage { .. } => Vec::new(),
            What::Machine { busy, steal, iowait, resident_bytes, images_per_second } => {
                let mut scalars = vec![
                    figure("machine/cpu_busy", "CpuBusy", Unit::Fraction, *busy),
                    figure("machine/cpu_steal", "CpuSteal", Unit::Fraction, *steal),
                    figure("machine/cpu_iowait", "CpuIowait", Unit::Fraction, *iowait),
                    figure(
                        "machine/resident_bytes",
                        "ResidentMemory",
                        Unit::Bytes,
                        *resident_bytes as f64,
                    ),
                ];
                let tag = "features/images_per_second";
                scalars.extend(
                    images_per_second
                        .map(|rate| figure(tag, "ImagesPerSecond", Unit::PerSecond, rate)),
                );
                scalars
            }
            What::Epoch(epoch) => {
                let rate = epoch.learning_rate;
                let mut scalars = vec![figure("learning_rate", "LearningRate", Unit::None, rate)];
                scalars.extend(of_split(TRAIN, &epoch.train));
                scalars.extend(of_split(VALID, &epoch.valid));
                scalars
            }
            What::Result { metrics, .. } => of_split(TEST, &metrics.test).to_vec(),
            What::End { exit_code, .. } => {
                let succeeded = f64::from(u8::from(*exit_code == 0));
                let figure = |name, unit, value| Scalar { tag: None, name, unit, value };
                vec![
                    figure("RunSeconds", Unit::Seconds, self.seconds),
                    figure("RunSucceeded", Unit::Count, succeeded),
                ]
            }
        };
        scalars.retain(|scalar| scalar.value.is_finite());
        scalars
    }
}

fn of_split(names: SplitNames, metrics: &Metrics) -> [Scalar; 3] {
    let [loss, top1, top5] = names;
    let scalar = |(tag, name), unit, value| Scalar { tag: Some(tag), name, unit, value };
    [
        scalar(loss, Unit::None, metrics.loss),
        scalar(top1, Unit::Fraction, metrics.top1_accuracy),
        scalar(top5, Unit::Fraction, metrics.top5_accuracy),
    ]
}
