//! Whether a new model may take the place of the standing one.

use super::metadata::Metadata;
use crate::config::ACCURACY_TOLERANCE;
use crate::job::Kind;

/// What becomes of a new model.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Verdict {
    /// It becomes the standing one.
    Promoted,
    /// It is kept beside the standing one, which has this top-1 accuracy on the same test split.
    Worse(f64),
}

impl Verdict {
    /// Whether it becomes the standing one.
    pub fn is_promoted(self) -> bool {
        self == Verdict::Promoted
    }
}

/// Compares test accuracies where they can be compared: two models of the user's data with the same
/// classes, tested on the same images. A model.json that says nothing of its test set is no hurdle.
pub fn judge(standing: Option<&Metadata>, new: &Metadata) -> Verdict {
    let comparable = |standing: &&Metadata| {
        standing.kind == Kind::Real
            && new.kind == Kind::Real
            && standing.class_names == new.class_names
            && standing.data.test_fingerprint.is_some()
            && standing.data.test_fingerprint == new.data.test_fingerprint
    };
    let Some(standing) = standing.filter(comparable) else { return Verdict::Promoted };
    let accuracy = standing.metrics.test.top1_accuracy;
    if new.metrics.test.top1_accuracy < accuracy - ACCURACY_TOLERANCE {
        Verdict::Worse(accuracy)
    } else {
        Verdict::Promoted
    }
}
