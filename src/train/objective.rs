//! What the head's fit minimizes, over the whole train split.

use std::ops::Range;

use rayon::prelude::*;

use super::packing;
use super::scaling::Scaling;
use super::softmax::subtract_target;
use super::vector::{Add, Vector, dot};
use crate::features::FeatureMatrix;
use crate::kernels::gemm::{Contiguous, Epilogue, PackedWeights, gemm_of_first};
use crate::kernels::gemm_transposed::gemm_transposed;
use crate::kernels::isa::Isa;

/// Rows that are computed at once: their features of a block, and the gradients by their logits, stay
/// in the L2 cache. A multiple of the kernels' 12 rows.
const ROWS: usize = 96;
/// The same of a triangle, where it is also the width of the steps of what is left out.
const TRIANGLE_ROWS: usize = 48;
/// The same where only the loss is wanted, so that a small split keeps several threads busy.
const LOSS_ROWS: usize = 24;

/// The mean cross-entropy on features, read where they are, each time scaled on the way where they are to be.
pub(super) struct Objective<'a> {
    isa: Isa,
    split: &'a FeatureMatrix,
    scaling: Option<&'a Scaling>,
    num_classes: usize,
    /// Whether no row has features past the one of its own number.
    is_triangular: bool,
    num_rows: usize,
    /// For each `num_rows` rows, the gradient by their logits.
    logit_gradients: Vec<PackedWeights>,
}

impl<'a> Objective<'a> {
    /// Without a `scaling` the features are what they are.
    pub(super) fn new(
        split: &'a FeatureMatrix,
        scaling: Option<&'a Scaling>,
        num_classes: usize,
    ) -> Self {
        let objective = Objective {
            isa: Isa::fastest(),
            split,
            scaling,
            num_classes,
            is_triangular: false,
            num_rows: ROWS,
            logit_gradients: Vec::new(),
        };
        objective.with_rows(ROWS)
    }

    /// The same of rows that have no features past the one of their own number: half the work where
    /// there are as many of them as features.
    pub(super) fn triangular(self) -> Self {
        Objective { is_triangular: true, ..self }.with_rows(TRIANGLE_ROWS)
    }

    /// The same where only the loss is asked for.
    pub(super) fn of_loss(self) -> Self {
        self.with_rows(LOSS_ROWS)
    }

    fn with_rows(self, num_rows: usize) -> Self {
        let logit_gradients = self
            .split
            .targets
            .chunks(num_rows)
            .map(|targets| PackedWeights::zeros(self.isa, targets.len(), self.num_classes));
        Objective { logit_gradients: logit_gradients.collect(), num_rows, ..self }
    }

    /// `mean cross-entropy + l2_penalty / 2 * |W|^2` at a point, whose gradient is written to
    /// `gradient`. The same bits for any number of threads.
    pub(super) fn evaluate(&mut self, at: &Vector, l2_penalty: f64, gradient: &mut Vector) -> f64 {
        let loss = self.forward(at, &mut gradient.bias);
        loss + 0.5 * l2_penalty * self.backward(at, l2_penalty, gradient)
    }

    /// The mean cross-entropy at a point.
    pub(super) fn loss(&mut self, at: &Vector) -> f64 {
        self.forward(at, &mut vec![0.0; self.num_classes])
    }

    /// The logits `[N, C]` at a point.
    pub(super) fn logits(&self, at: &Vector) -> Vec<f32> {
        let num_outputs = PackedWeights::zeros(self.isa, 0, self.num_classes).num_outputs();
        let mut logits = Vec::new();
        for chunk in 0..self.logit_gradients.len() {
            let padded = self.logits_of(at, chunk, num_outputs, &mut Vec::new());
            let rows = padded.chunks_exact(num_outputs);
            logits.extend(rows.flat_map(|row| &row[..self.num_classes]));
        }
        logits
    }

    /// Which rows a chunk has.
    fn rows(&self, chunk: usize) -> Range<usize> {
        let first = chunk * self.num_rows;
        first..self.split.targets.len().min(first + self.num_rows)
    }

    /// How many of the features of a block the rows of a chunk may have.
    fn depth(&self, features: &Range<usize>, chunk: usize) -> usize {
        let end = if self.is_triangular { self.rows(chunk).end } else { features.end };
        features.end.min(end).saturating_sub(features.start)
    }

    /// `[rows, features]`, scaled in `buffer` or where they are.
    fn features<'b>(
        &'b self,
        rows: Range<usize>,
        features: Range<usize>,
        buffer: &'b mut Vec<f32>,
    ) -> Contiguous<'b, f32> {
        match self.scaling {
            Some(scaling) => {
                let row_len = features.len();
                gather(self.split, scaling, rows.start, rows.len(), features, buffer);
                Contiguous { values: buffer, row_len }
            }
            None => {
                let row_len = self.split.num_features;
                let first = rows.start * row_len + features.start;
                let end = (rows.end - 1) * row_len + features.end;
                Contiguous { values: &self.split.values[first..end], row_len }
            }
        }
    }

    /// `[rows, num_outputs]` of a chunk. `scaled` is a buffer.
    fn logits_of(
        &self,
        at: &Vector,
        chunk: usize,
        num_outputs: usize,
        scaled: &mut Vec<f32>,
    ) -> Vec<f32> {
        let rows = self.rows(chunk);
        let mut logits = vec![0.0; rows.len() * num_outputs];
        for row in logits.chunks_exact_mut(num_outputs) {
            row[..self.num_classes].copy_from_slice(&at.bias);
        }
        for (features, weights) in packing::blocks(self.split.num_features).zip(&at.weights) {
            let depth = self.depth(&features, chunk);
            if depth == 0 {
                break;
            }
            let features = features.start..features.start + depth;
            let scaled = self.features(rows.clone(), features, scaled);
            let epilogue = Epilogue { bias: &[], add: true, relu: false };
            gemm_of_first(self.isa, &scaled, depth, weights, epilogue, &mut logits);
        }
        logits
    }

    /// The mean cross-entropy; leaves the gradients by the logits, and their sum, which is that by the
    /// bias.
    fn forward(&mut self, at: &Vector, bias_gradient: &mut [f32]) -> f64 {
        let (isa, num_classes, num_samples) =
            (self.isa, self.num_classes, self.split.targets.len());
        let mut logit_gradients = std::mem::take(&mut self.logit_gradients);
        // Of a triangle the last have most to do.
        let chunks = logit_gradients.par_iter_mut().enumerate().rev().with_max_len(1);
        let sums: Vec<(f64, Vec<f32>)> = chunks
            .map_init(Vec::new, |scaled, (chunk, packed)| {
                let num_outputs = packed.num_outputs();
                let mut logits = self.logits_of(at, chunk, num_outputs, scaled);
                let targets = &self.split.targets[self.rows(chunk)];
                let mut loss = 0.0;
                let mut bias_gradient = vec![0.0; num_classes];
                let rows = logits.chunks_exact_mut(num_outputs).zip(targets).enumerate();
                for (row, (padded, &target)) in rows {
                    let logits = &mut padded[..num_classes];
                    loss += subtract_target(isa, logits, target, num_samples);
                    for (sum, &gradient) in bias_gradient.iter_mut().zip(&*logits) {
                        *sum += gradient;
                    }
                    packed.set_row(row, logits);
                }
                (loss, bias_gradient)
            })
            .collect();
        self.logit_gradients = logit_gradients;
        bias_gradient.fill(0.0);
        let mut loss = 0.0;
        for (chunk_loss, gradients) in &sums {
            loss += chunk_loss;
            bias_gradient.iter_mut().zip(gradients).for_each(|(sum, value)| *sum += value);
        }
        loss / num_samples as f64
    }

    /// The gradient by the weights, and the square of these.
    fn backward(&self, at: &Vector, l2_penalty: f64, gradient: &mut Vector) -> f64 {
        let isa = self.isa;
        let num_chunks = self.logit_gradients.len();
        let blocks = packing::blocks(self.split.num_features).zip(&at.weights);
        let mut blocks: Vec<_> = gradient.weights.iter_mut().zip(blocks).enumerate().collect();
        // Of a triangle the first have most to do: half of them to each half of the threads.
        blocks.sort_by_key(|(index, _)| matches!(index % 4, 1 | 2));
        let squares = blocks.into_par_iter().with_max_len(1).map_init(
            Vec::new,
            |scaled, (index, (gradient, (features, weights)))| {
                let mut is_first = true;
                // The last rows have all the features.
                for chunk in (0..num_chunks).rev() {
                    let depth = self.depth(&features, chunk);
                    if depth == 0 {
                        break;
                    }
                    let rows = self.rows(chunk);
                    let features = features.start..features.start + depth;
                    let scaled = self.features(rows, features, scaled);
                    let packed = &self.logit_gradients[chunk];
                    let out = gradient.values_mut();
                    gemm_transposed(isa, scaled, depth, packed, !is_first, out);
                    is_first = false;
                }
                let (values, at) = (gradient.values_mut(), weights.values());
                isa.run(Add { to: values, factor: l2_penalty as f32, values: at });
                (index, dot(isa, at, at))
            },
        );
        let mut squares: Vec<(usize, f64)> = squares.collect();
        squares.sort_by_key(|(index, _)| *index);
        squares.iter().map(|(_, square)| square).sum()
    }
}

/// Writes the scaled features of a block, of some rows, to `rows`.
pub(super) fn gather(
    split: &FeatureMatrix,
    scaling: &Scaling,
    first: usize,
    num_rows: usize,
    features: Range<usize>,
    rows: &mut Vec<f32>,
) {
    rows.resize(num_rows * features.len(), 0.0);
    for (row, index) in rows.chunks_exact_mut(features.len()).zip(first..) {
        let first = index * split.num_features + features.start;
        scaling.apply(features.start, &split.values[first..first + features.len()], row);
    }
}
