//! What the head's fit minimizes, over the whole train split.

use std::ops::Range;

use rayon::prelude::*;

use super::chunked_features::ChunkedFeatures;
use super::packing;
use super::softmax::subtract_target;
use super::vector::{Add, Vector, dot};
use crate::error::Result;
use crate::kernels::gemm::{Epilogue, PackedWeights, gemm_of_first};
use crate::kernels::gemm_transposed::{Panels, gemm_transposed};
use crate::kernels::isa::Isa;
use crate::metrics::{Accumulator, Metrics};

/// Rows of a chunk: their features of a block, and the gradients by their logits, stay in the L2 cache. A
/// multiple of the kernels' 12 rows.
pub(super) const ROWS: usize = 96;
/// The same of a triangle, where it is also the width of the steps of what is left out.
pub(super) const TRIANGLE_ROWS: usize = 48;
/// The same where only the loss is wanted, so that a small split keeps several threads busy.
pub(super) const LOSS_ROWS: usize = 24;

/// The mean cross-entropy on features.
pub(super) struct Objective<'a> {
    isa: Isa,
    features: &'a ChunkedFeatures,
    num_classes: usize,
    /// Whether no row has features past the one of its own number.
    is_triangular: bool,
    /// For each chunk of rows, the gradient by their logits.
    logit_gradients: Vec<PackedWeights>,
}

impl<'a> Objective<'a> {
    pub(super) fn new(features: &'a ChunkedFeatures, num_classes: usize) -> Self {
        let isa = Isa::fastest();
        let logit_gradients = (0..features.num_chunks())
            .map(|chunk| PackedWeights::zeros(isa, features.rows(chunk).len(), num_classes));
        let logit_gradients = logit_gradients.collect();
        Objective { isa, features, num_classes, is_triangular: false, logit_gradients }
    }

    /// The same of rows that have no features past the one of their own number: half the work where
    /// there are as many of them as features.
    pub(super) fn triangular(self) -> Self {
        Objective { is_triangular: true, ..self }
    }

    /// `mean cross-entropy + l2_penalty / 2 * |W|^2` at a point, whose gradient is written to
    /// `gradient`. The same bits for any number of threads.
    ///
    /// # Errors
    /// When features cannot be read.
    pub(super) fn evaluate(
        &mut self,
        at: &Vector,
        l2_penalty: f64,
        gradient: &mut Vector,
    ) -> Result<f64> {
        let loss = self.forward(at, &mut gradient.bias)?;
        Ok(loss + 0.5 * l2_penalty * self.backward(at, l2_penalty, gradient)?)
    }

    /// The mean cross-entropy at a point.
    ///
    /// # Errors
    /// When features cannot be read.
    pub(super) fn loss(&mut self, at: &Vector) -> Result<f64> {
        self.forward(at, &mut vec![0.0; self.num_classes])
    }

    /// The logits `[N, C]` at a point.
    ///
    /// # Errors
    /// When features cannot be read.
    pub(super) fn logits(&self, at: &Vector) -> Result<Vec<f32>> {
        let num_outputs = PackedWeights::zeros(self.isa, 0, self.num_classes).num_outputs();
        let (mut logits, mut buffer) = (Vec::new(), Vec::new());
        for chunk in 0..self.features.num_chunks() {
            let padded = self.logits_of(at, chunk, num_outputs, &mut buffer)?;
            let rows = padded.chunks_exact(num_outputs);
            logits.extend(rows.flat_map(|row| &row[..self.num_classes]));
        }
        Ok(logits)
    }

    /// The measures at a point.
    ///
    /// # Errors
    /// When features cannot be read.
    pub(super) fn measure(&self, at: &Vector) -> Result<Metrics> {
        let mut measures = Accumulator::default();
        measures.add(&self.logits(at)?, &self.features.targets);
        Ok(measures.mean())
    }

    /// How many of the features of a block the rows of a chunk may have.
    fn depth(&self, features: &Range<usize>, chunk: usize) -> usize {
        let end = if self.is_triangular { self.features.rows(chunk).end } else { features.end };
        features.end.min(end).saturating_sub(features.start)
    }

    /// `[rows, num_outputs]` of a chunk. Features may be read to `buffer`.
    fn logits_of(
        &self,
        at: &Vector,
        chunk: usize,
        num_outputs: usize,
        buffer: &mut Vec<f32>,
    ) -> Result<Vec<f32>> {
        let mut logits = vec![0.0; self.features.rows(chunk).len() * num_outputs];
        for row in logits.chunks_exact_mut(num_outputs) {
            row[..self.num_classes].copy_from_slice(&at.bias);
        }
        for (features, weights) in packing::blocks(self.features.num_features).zip(&at.weights) {
            let depth = self.depth(&features, chunk);
            if depth == 0 {
                break;
            }
            let rows = self.features.block(chunk, &features, buffer)?;
            let epilogue = Epilogue { bias: &[], add: true, relu: false };
            let ahead = self.features.after_in_chunk(chunk, &features);
            gemm_of_first(self.isa, &rows, depth, weights, epilogue, &mut logits, ahead);
        }
        Ok(logits)
    }

    /// The mean cross-entropy; leaves the gradients by the logits, and their sum, which is that by the
    /// bias.
    fn forward(&mut self, at: &Vector, bias_gradient: &mut [f32]) -> Result<f64> {
        let (isa, num_classes, num_samples) =
            (self.isa, self.num_classes, self.features.targets.len());
        let mut logit_gradients = std::mem::take(&mut self.logit_gradients);
        // Of a triangle the last have most to do.
        let chunks = self.dealt(logit_gradients.iter_mut().enumerate().rev().collect());
        let sums: Result<Vec<(usize, f64, Vec<f32>)>> = chunks
            .into_par_iter()
            .with_max_len(1)
            .map_init(Vec::new, |buffer, (chunk, packed)| {
                let num_outputs = packed.num_outputs();
                let mut logits = self.logits_of(at, chunk, num_outputs, buffer)?;
                let targets = &self.features.targets[self.features.rows(chunk)];
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
                Ok((chunk, loss, bias_gradient))
            })
            .collect();
        self.logit_gradients = logit_gradients;
        let mut sums = sums?;
        sums.sort_by_key(|&(chunk, ..)| chunk);
        bias_gradient.fill(0.0);
        let mut loss = 0.0;
        for (_, chunk_loss, gradients) in &sums {
            loss += chunk_loss;
            bias_gradient.iter_mut().zip(gradients).for_each(|(sum, value)| *sum += value);
        }
        Ok(loss / num_samples as f64)
    }

    /// The gradient by the weights, and the square of these.
    fn backward(&self, at: &Vector, l2_penalty: f64, gradient: &mut Vector) -> Result<f64> {
        // Of a triangle the first blocks have most to do.
        let mut parts = Vec::new();
        for ((features, at), gradient) in
            packing::blocks(self.features.num_features).zip(&at.weights).zip(&mut gradient.weights)
        {
            if self.is_triangular {
                let panels = gradient.panels_mut();
                parts.extend(panels.map(|(outputs, out)| (features.clone(), outputs, at, out)));
            } else {
                let outputs = 0..gradient.num_outputs();
                parts.push((features, outputs, at, gradient.values_mut()));
            }
        }
        let parts = self.dealt(parts).into_par_iter().with_max_len(1);
        let squares = parts.map(|(features, outputs, at, out)| {
            self.backward_of(&features, &outputs, out)?;
            let at = &at.values()[outputs.start * features.len()..][..out.len()];
            self.isa.run(Add { to: out, factor: l2_penalty as f32, values: at });
            Ok(((features.start, outputs.start), dot(self.isa, at, at)))
        });
        let mut squares: Vec<_> = squares.collect::<Result<_>>()?;
        squares.sort_by_key(|(place, _)| *place);
        Ok(squares.iter().map(|(_, square)| square).sum())
    }

    /// The gradient of the cross-entropy by the weights of a block for some outputs.
    fn backward_of(
        &self,
        features: &Range<usize>,
        outputs: &Range<usize>,
        out: &mut [f32],
    ) -> Result<()> {
        let (mut is_first, mut buffer) = (true, Vec::new());
        // The last rows have all the features.
        for chunk in (0..self.features.num_chunks()).rev() {
            let depth = self.depth(features, chunk);
            if depth == 0 {
                break;
            }
            let rows = self.features.block(chunk, features, &mut buffer)?;
            let panels = Panels { weights: &self.logit_gradients[chunk], outputs: outputs.clone() };
            let ahead = self.features.after_in_block(chunk, features);
            gemm_transposed(self.isa, rows, depth, panels, !is_first, out, ahead);
            is_first = false;
        }
        Ok(())
    }

    /// Parts of the work in their order; those of a triangle, of which the first have most to do, in one in
    /// which each half has as much.
    fn dealt<T>(&self, parts: Vec<T>) -> Vec<T> {
        let mut parts: Vec<(usize, T)> = parts.into_iter().enumerate().collect();
        parts.sort_by_key(|(index, _)| self.is_triangular && matches!(index % 4, 1 | 2));
        parts.into_iter().map(|(_, part)| part).collect()
    }
}
