//! The measures of a head on a split.

use tch::Tensor;

use crate::error::Result;
use crate::features::FeatureMatrix;
use crate::metrics::{Accumulator, Metrics};
use crate::model::head::{Head, to_vec};

/// Rows per matrix product: logits of 133 classes then stay in the cache.
const ROWS: i64 = 256;

/// Loss and accuracies of `head` on the features of a split.
///
/// # Errors
/// When libtorch refuses the shapes.
pub fn evaluate(head: &Head, features: &FeatureMatrix) -> Result<Metrics> {
    evaluate_tensor(head, &features.to_tensor()?, &features.targets)
}

/// The same for features `[N, F]` in a tensor.
///
/// # Errors
/// When libtorch refuses the shapes.
pub fn evaluate_tensor(head: &Head, features: &Tensor, targets: &[usize]) -> Result<Metrics> {
    let mut accumulator = Accumulator::default();
    let chunks = targets.chunks(ROWS as usize);
    for (features, targets) in features.f_split(ROWS, 0)?.iter().zip(chunks) {
        accumulator.add(&to_vec(&head.forward(features)?)?, targets);
    }
    Ok(accumulator.mean())
}
