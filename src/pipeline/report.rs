//! What a training tells of itself in the log.

use crate::artifact::{DataSummary, Verdict};
use crate::config::ACCURACY_TOLERANCE;
use crate::job::Kind;
use crate::metrics::Metrics;
use crate::train::fit::Epoch;

pub(super) fn report_files(data: &DataSummary) {
    for (files, what) in [(&data.skipped, "skipped"), (&data.damaged, "used although damaged")] {
        if !files.is_empty() {
            log::warn!("{} files {what}:", files.len());
            for file in files {
                log::warn!("  {}: {}", file.path.display(), file.reason);
            }
        }
    }
    if !data.leaks.is_empty() {
        log::warn!(
            "{} images of valid or test are in train too, so the measures below flatter the model:",
            data.leaks.len()
        );
        for leak in &data.leaks {
            log::warn!("  {} is {}", leak.held_out.display(), leak.train.display());
        }
    }
}

pub(super) fn log_epoch(epoch: &Epoch) {
    log::info!(
        "epoch {:3}: train loss {:.4}, top-1 {:5.2} %; valid loss {:.4}, top-1 {:5.2} %, top-5 {:5.2} %",
        epoch.epoch,
        epoch.train.loss,
        100.0 * epoch.train.top1_accuracy,
        epoch.valid.loss,
        100.0 * epoch.valid.top1_accuracy,
        100.0 * epoch.valid.top5_accuracy
    );
}

/// In the words of the script that this program replaces, which SageMaker's metric definitions look
/// for: the accuracy is a fraction there.
pub(super) fn log_test(test: &Metrics) {
    log::info!("Testing Loss: {:.6}", test.loss);
    log::info!("Testing Accuracy: {:.6}", test.top1_accuracy);
}

pub(super) fn log_temperature(temperature: Option<f64>) {
    match temperature {
        Some(temperature) => log::info!("temperature of the probabilities: {temperature:.3}"),
        None => log::info!("too few images in valid for a temperature of the probabilities"),
    }
}

pub(super) fn warn_if_guessing(valid: &Metrics, num_classes: usize) {
    let chance = (num_classes as f64).ln();
    if num_classes > 1 && valid.loss >= chance {
        log::warn!(
            "the validation loss {:.4} is no better than guessing ({chance:.4}): the features do \
             not tell these classes apart",
            valid.loss
        );
    }
}

pub(super) fn announce_sample(kind: Kind) {
    if kind == Kind::Sample {
        log::warn!("{}", describe(kind));
    }
}

pub(super) fn describe(kind: Kind) -> &'static str {
    match kind {
        Kind::Real => "ResNet50 with a new head, trained on local folders",
        Kind::Sample => {
            "the built-in sample: drawn textures and a constructed backbone that was never \
             trained. It shows the program at work; it knows no dog breeds"
        }
    }
}

pub(super) fn program() -> String {
    format!("ec2train {}", env!("CARGO_PKG_VERSION"))
}

/// Says why a model does not take the place of the standing one.
pub(super) fn report_verdict(verdict: Verdict, test: &Metrics) {
    if let Verdict::Worse(standing) = verdict {
        log::warn!(
            "top-1 on test is {:.2} %, where the standing model has {:.2} % on the same images: worse \
             by more than {:.1} points, so that one stays and the new one is kept beside it",
            100.0 * test.top1_accuracy,
            100.0 * standing,
            100.0 * ACCURACY_TOLERANCE
        );
    }
}
