//! The measures of a head on a split.

use crate::features::FeatureMatrix;
use crate::metrics::{Accumulator, Metrics};
use crate::model::head::Head;

/// Rows per matrix product: logits of 133 classes then stay in the cache.
const ROWS: usize = 256;

/// Loss and accuracies of `head` on the features of a split.
pub fn evaluate(head: &Head, features: &FeatureMatrix) -> Metrics {
    let head = head.pack();
    let mut accumulator = Accumulator::default();
    let chunks = features.values.chunks(ROWS * features.num_features);
    for (rows, targets) in chunks.zip(features.targets.chunks(ROWS)) {
        accumulator.add(&head.logits(rows), targets);
    }
    accumulator.mean()
}
