//! A head's weights as the kernels of the fit read them: packed, in blocks of features.

use std::ops::Range;

use rayon::prelude::*;

use crate::kernels::gemm::PackedWeights;
use crate::kernels::isa::Isa;
use crate::model::head::Head;

/// Features of a block, which is computed by one thread. Sums over blocks are taken in their order,
/// so that the result does not depend on the number of threads.
pub(super) const BLOCK_LEN: usize = 128;

/// The features of each block.
pub(super) fn blocks(num_features: usize) -> impl Iterator<Item = Range<usize>> {
    (0..num_features)
        .step_by(BLOCK_LEN)
        .map(move |first| first..num_features.min(first + BLOCK_LEN))
}

/// `[features, C]` of a head's weights `[C, F]`; the columns that fill up the last vector are zero.
pub(super) fn pack(isa: Isa, head: &Head, features: Range<usize>) -> PackedWeights {
    let num_classes = head.num_classes();
    let num_features = head.weight.len() / num_classes;
    let num_outputs = PackedWeights::zeros(isa, 0, num_classes).num_outputs();
    PackedWeights::new(isa, 1, features.len(), num_outputs, |_, feature, class| {
        let index = class * num_features + features.start + feature;
        if class < num_classes { head.weight[index] } else { 0.0 }
    })
}

/// Weights `[C, F]` of all blocks.
pub(super) fn unpack(
    weights: &[PackedWeights],
    num_features: usize,
    num_classes: usize,
) -> Vec<f32> {
    let mut unpacked = vec![0.0; num_classes * num_features];
    let rows = unpacked.par_chunks_mut(UNPACKED * num_features).enumerate();
    rows.for_each(|(chunk, rows)| {
        let first = chunk * UNPACKED;
        for (features, weights) in blocks(num_features).zip(weights) {
            for (classes, values) in weights.panels() {
                let end = (first + UNPACKED).min(classes.end).min(num_classes);
                let shared = first.max(classes.start)..end;
                for (feature, values) in features.clone().zip(values.chunks_exact(classes.len())) {
                    for class in shared.clone() {
                        rows[(class - first) * num_features + feature] =
                            values[class - classes.start];
                    }
                }
            }
        }
    });
    unpacked
}

/// Classes that one thread unpacks at a time.
const UNPACKED: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_is_unpacked_again() {
        let (num_features, num_classes) = (BLOCK_LEN + 5, 37);
        let weight: Vec<f32> = (0..num_features * num_classes).map(|value| value as f32).collect();
        let head = Head { weight, bias: vec![0.0; num_classes] };
        for isa in Isa::supported().into_iter().chain([Isa::Portable]) {
            let packed: Vec<_> =
                blocks(num_features).map(|features| pack(isa, &head, features)).collect();
            assert_eq!(unpack(&packed, num_features, num_classes), head.weight);
        }
    }
}
