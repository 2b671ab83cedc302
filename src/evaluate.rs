//! The measures of a head on a split.

use crate::error::Result;
use crate::features::SplitFeatures;
use crate::metrics::{Accumulator, Metrics};
use crate::model::head::Head;

/// Rows per matrix product: logits of 133 classes then stay in the cache.
const ROWS: usize = 256;

/// Loss and accuracies of `head` on the features of a split.
///
/// # Errors
/// When features cannot be read.
pub fn evaluate(head: &Head, features: &SplitFeatures) -> Result<Metrics> {
    let head = head.pack();
    let mut accumulator = Accumulator::default();
    features.for_each_chunk(ROWS, |rows, targets| {
        accumulator.add(&head.logits(rows), targets);
        Ok(())
    })?;
    Ok(accumulator.mean())
}
