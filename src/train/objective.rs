//! What the head's fit minimizes, over the whole train split.

use std::ops::Range;

use rayon::prelude::*;

use super::packing;
use super::scaling::Scaling;
use super::softmax::subtract_target;
use super::vector::Vector;
use crate::features::FeatureMatrix;
use crate::kernels::gemm::{Contiguous, Epilogue, PackedWeights, gemm};
use crate::kernels::gemm_transposed::gemm_transposed;
use crate::kernels::isa::Isa;

/// Rows that are computed at once: their features of a block, and the gradients by their logits, stay
/// in the L2 cache. A multiple of the kernels' 12 rows.
const ROWS: usize = 96;

/// The mean cross-entropy on scaled features. Features are read where they are.
pub(super) struct Objective<'a> {
    isa: Isa,
    train: &'a FeatureMatrix,
    scaling: &'a Scaling,
    num_classes: usize,
    /// Whether no row has features past the one of its own number.
    is_triangular: bool,
    /// For each [`ROWS`] rows, the gradient by their logits, a panel of classes each.
    logit_gradients: Vec<Vec<PackedWeights>>,
}

impl<'a> Objective<'a> {
    pub(super) fn new(train: &'a FeatureMatrix, scaling: &'a Scaling, num_classes: usize) -> Self {
        let isa = Isa::fastest();
        let panel = PackedWeights::zeros(isa, 0, 1).num_outputs();
        let num_panels = num_classes.div_ceil(panel);
        let logit_gradients = train.targets.chunks(ROWS).map(|targets| {
            (0..num_panels).map(|_| PackedWeights::zeros(isa, targets.len(), panel)).collect()
        });
        let logit_gradients = logit_gradients.collect();
        Objective { isa, train, scaling, num_classes, is_triangular: false, logit_gradients }
    }

    /// The same of rows that have no features past the one of their own number: half the work where
    /// there are as many of them as features.
    pub(super) fn triangular(self) -> Self {
        Objective { is_triangular: true, ..self }
    }

    /// `mean cross-entropy + l2_penalty / 2 * |W|^2` at a point, whose gradient is written to
    /// `gradient`. The same bits for any number of threads.
    pub(super) fn evaluate(&mut self, at: &Vector, l2_penalty: f64, gradient: &mut Vector) -> f64 {
        let loss = self.forward(at, &mut gradient.bias);
        self.backward(gradient);
        gradient.add_weights(l2_penalty, at);
        loss + 0.5 * l2_penalty * at.dot_of_weights(at)
    }

    /// The mean cross-entropy at a point.
    pub(super) fn loss(&mut self, at: &Vector) -> f64 {
        self.forward(at, &mut vec![0.0; self.num_classes])
    }

    /// The mean cross-entropy; leaves the gradients by the logits, and their sum, which is that by the
    /// bias.
    fn forward(&mut self, at: &Vector, bias_gradient: &mut [f32]) -> f64 {
        let Objective { isa, train, scaling, num_classes, is_triangular, .. } = *self;
        let num_samples = train.targets.len();
        let num_outputs = PackedWeights::zeros(isa, 0, num_classes).num_outputs();
        let chunks = self.logit_gradients.par_iter_mut().enumerate();
        let sums: Vec<(f64, Vec<f32>)> = chunks
            .map_init(Vec::new, |rows, (chunk, panels)| {
                let first = chunk * ROWS;
                let targets = &train.targets[first..num_samples.min(first + ROWS)];
                let mut logits = vec![0.0; targets.len() * num_outputs];
                for (row, weights) in packing::blocks(train.num_features).zip(&at.weights) {
                    if is_triangular && is_beyond(&row, chunk) {
                        break;
                    }
                    gather(train, scaling, first, targets.len(), row.clone(), rows);
                    let rows = Contiguous { values: rows, row_len: row.len() };
                    let epilogue = Epilogue { bias: &[], add: row.start > 0, relu: false };
                    gemm(isa, &rows, weights, epilogue, &mut logits);
                }
                let mut loss = 0.0;
                let mut bias_gradient = vec![0.0; num_classes];
                let rows = logits.chunks_exact_mut(num_outputs).zip(targets).enumerate();
                for (row, (padded, &target)) in rows {
                    let logits = &mut padded[..num_classes];
                    logits.iter_mut().zip(&at.bias).for_each(|(logit, bias)| *logit += bias);
                    loss += subtract_target(logits, target, num_samples);
                    for (sum, &gradient) in bias_gradient.iter_mut().zip(&*logits) {
                        *sum += gradient;
                    }
                    let panel = panels.first().map_or(1, PackedWeights::panel);
                    for (packed, gradients) in panels.iter_mut().zip(logits.chunks(panel)) {
                        packed.values_mut()[row * panel..][..gradients.len()]
                            .copy_from_slice(gradients);
                    }
                }
                (loss, bias_gradient)
            })
            .collect();
        bias_gradient.fill(0.0);
        let mut loss = 0.0;
        for (chunk_loss, gradients) in &sums {
            loss += chunk_loss;
            bias_gradient.iter_mut().zip(gradients).for_each(|(sum, value)| *sum += value);
        }
        loss / num_samples as f64
    }

    /// The gradient by the weights, without the penalty's.
    fn backward(&self, gradient: &mut Vector) {
        let Objective { isa, train, scaling, is_triangular, .. } = *self;
        let blocks: Vec<_> = packing::blocks(train.num_features).collect();
        let blocks = gradient.weights.par_iter_mut().zip(blocks);
        blocks.for_each_init(
            || (Vec::new(), Vec::new()),
            |(rows, product), (weights, features)| {
                weights.values_mut().fill(0.0);
                for (chunk, panels) in self.logit_gradients.iter().enumerate() {
                    if is_triangular && is_beyond(&features, chunk) {
                        continue;
                    }
                    let first = chunk * ROWS;
                    let num_rows = ROWS.min(train.targets.len() - first);
                    gather(train, scaling, first, num_rows, features.clone(), rows);
                    let len = features.len();
                    for (panel, sums) in panels
                        .iter()
                        .zip(weights.values_mut().chunks_exact_mut(len * panels[0].panel()))
                    {
                        product.resize(sums.len(), 0.0);
                        gemm_transposed(isa, rows, len, panel, product);
                        sums.iter_mut().zip(&*product).for_each(|(sum, value)| *sum += value);
                    }
                }
            },
        );
    }
}

/// Whether the features have greater numbers than all rows of the chunk.
fn is_beyond(features: &Range<usize>, chunk: usize) -> bool {
    features.start >= (chunk + 1) * ROWS
}

/// Writes the scaled features of a block, of some rows, to `rows`.
fn gather(
    train: &FeatureMatrix,
    scaling: &Scaling,
    first: usize,
    num_rows: usize,
    features: Range<usize>,
    rows: &mut Vec<f32>,
) {
    rows.resize(num_rows * features.len(), 0.0);
    for (row, index) in rows.chunks_exact_mut(features.len()).zip(first..) {
        let first = index * train.num_features + features.start;
        scaling.apply(features.start, &train.values[first..first + features.len()], row);
    }
}
