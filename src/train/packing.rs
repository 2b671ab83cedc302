//! A head's weights as the kernels of the fit read them: packed, in blocks of features.

use std::ops::Range;

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

/// `[features, C]` of a head's weights `[C, F]`; the columns that fill up the last panel are zero.
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
pub(super) fn unpack<'a>(
    weights: impl Iterator<Item = &'a PackedWeights>,
    num_features: usize,
    num_classes: usize,
) -> Vec<f32> {
    let mut unpacked = vec![0.0; num_classes * num_features];
    for (features, weights) in blocks(num_features).zip(weights) {
        let panel = weights.panel();
        let panels = weights.values().chunks_exact(panel * features.len());
        for (index, panel_values) in panels.enumerate() {
            for (feature, values) in features.clone().zip(panel_values.chunks(panel)) {
                let classes = index * panel..num_classes;
                for (class, &value) in classes.zip(values) {
                    unpacked[class * num_features + feature] = value;
                }
            }
        }
    }
    unpacked
}

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
            assert_eq!(unpack(packed.iter(), num_features, num_classes), head.weight);
        }
    }
}
