//! The products of a pass by the CPU's tiles, of features in bf16 with f32 numbers split into two bf16.

use std::ops::Range;

use rayon::prelude::*;

use super::packing;
use super::products::{Features, Products};
use super::vector::{Add, Vector, dot};
use crate::error::Result;
use crate::kernels::aligned::Aligned;
use crate::kernels::amx::Amx;
use crate::kernels::amx::split::{
    Matrix, PairRows, PairedRows, STEP_DEPTH, SplitMatrix, Spread, TILE,
};
use crate::kernels::arithmetic::{Arithmetic, Value};
use crate::kernels::gemm::{Contiguous, PackedWeights};
use crate::kernels::pairs::Pair;

/// Features of a part of a triangle's gradient.
const PART_LEN: usize = 32;

/// Blocks of weights that a thread splits at least: one is done before another thread wakes up.
const SPLIT_AT_ONCE: usize = 4;

impl Products for Amx {
    type Feature = Pair;
    /// Of each block, as a right matrix.
    type Weights = Vec<SplitMatrix>;
    /// Transposed, as a left matrix.
    type LogitGradients = SplitMatrix;
    type Part<'a> = Part<'a>;

    // Multiples of the depth of a tile.
    const ROWS: usize = 128;
    const TRIANGLE_ROWS: usize = 32;
    const LOSS_ROWS: usize = 32;

    // The depth of a tile, be it features or rows.
    const ROW_STEP: usize = STEP_DEPTH;
    const FEATURE_STEP: usize = STEP_DEPTH;

    fn keep_features(&self, values: &[f32], out: &mut [Pair]) {
        self.round(values, out);
    }

    fn num_outputs(&self, num_classes: usize) -> usize {
        num_classes.next_multiple_of(TILE)
    }

    fn weights(&self, at: &Vector) -> Vec<SplitMatrix> {
        let num_classes = at.bias.len();
        let blocks = at.weights.par_iter().with_min_len(SPLIT_AT_ONCE).map(|weights| {
            let depth = weights.values().len() / weights.num_outputs();
            let mut split = SplitMatrix::default();
            split.resize(num_classes, depth);
            for (outputs, values) in weights.panels() {
                let width = outputs.len();
                // What only fills up vectors may have no tile.
                let num_columns = width.min(self.num_outputs(num_classes) - outputs.start);
                let matrix = Matrix { values, num_rows: depth, num_columns, stride: width };
                self.split_columns(matrix, &mut split, outputs.start);
            }
            split
        });
        blocks.collect()
    }

    fn logit_gradients(&self, num_rows: usize, num_classes: usize) -> SplitMatrix {
        let mut gradients = SplitMatrix::default();
        gradients.resize(num_classes, num_rows);
        gradients
    }

    fn keep(&self, gradients: &[f32], num_rows: usize, out: &mut SplitMatrix) {
        let stride = gradients.len() / num_rows.next_multiple_of(Self::ROW_STEP);
        let matrix = Matrix { values: gradients, num_rows, num_columns: stride, stride };
        self.split_transposed(matrix, out);
    }

    fn add_logits(
        &self,
        features: Features<Amx>,
        chunk: usize,
        (_, weights): (&Vector, &Vec<SplitMatrix>),
        logits: &mut [f32],
        buffer: &mut Aligned<Pair>,
    ) -> Result<()> {
        let num_rows = features.chunks.padded_rows(chunk);
        let stride = logits.len() / num_rows;
        let spread = Spread { left: TILE * stride, right: TILE, row: stride };
        features.for_each_block(chunk, buffer, |block, rows, depth, ahead| {
            let rows = pair_rows(rows, 0, depth);
            self.multiply_rows(rows, &weights[block], logits, spread, ahead);
        })
    }

    fn parts<'a>(
        &self,
        features: Range<usize>,
        at: &'a PackedWeights,
        gradient: &'a mut PackedWeights,
        is_triangular: bool,
    ) -> Vec<Part<'a>> {
        let len = if is_triangular { PART_LEN } else { features.len() };
        let firsts = (0..features.len()).step_by(len.max(1));
        let mut parts: Vec<_> = firsts
            .map(|first| Part {
                features: features.clone(),
                columns: first..features.len().min(first + len),
                at,
                out: Vec::new(),
            })
            .collect();
        for (outputs, values) in gradient.panels_mut() {
            let pieces = values.chunks_mut(len * outputs.len());
            for (part, piece) in parts.iter_mut().zip(pieces) {
                part.out.push((outputs.clone(), piece));
            }
        }
        parts
    }

    fn compute(
        &self,
        features: Features<Amx>,
        logit_gradients: &[SplitMatrix],
        part: Part<'_>,
        l2_penalty: f64,
    ) -> Result<((usize, usize), f64)> {
        let Part { features: block, columns, at, out } = part;
        let num_tiles = columns.len().div_ceil(STEP_DEPTH) * (STEP_DEPTH / TILE);
        let num_outputs = at.num_outputs().next_multiple_of(TILE);
        // Of the transposed gradient, [outputs / 16, features / 16, 16, 16].
        let mut sums = Aligned::default();
        let sums = sums.resized(num_outputs * num_tiles * TILE);
        sums.fill(0.0);
        let spread = Spread { left: num_tiles * TILE * TILE, right: TILE * TILE, row: TILE };
        let (mut paired, mut buffer) = (PairedRows::default(), Aligned::default());
        let used = block.start + columns.start..block.start + columns.end;
        // The last rows have all the features.
        for chunk in (0..features.chunks.num_chunks()).rev() {
            let num_columns = features.depth(&used, chunk);
            if num_columns == 0 {
                break;
            }
            let rows = features.chunks.block(chunk, &block, &mut buffer)?;
            self.pair_rows(pair_rows(rows, columns.start, num_columns), &mut paired);
            let ahead = features.chunks.after_in_block(chunk, &block);
            // Where this block goes on.
            let next = chunk.checked_sub(1).map(|next| &logit_gradients[next]);
            self.multiply_paired(&logit_gradients[chunk], &paired, sums, spread, next, ahead);
        }
        let (tiles, isa, mut square) = (sums.as_chunks().0, self.isa(), 0.0);
        for ((outputs, out), (_, at)) in out.into_iter().zip(at.panels()) {
            let width = outputs.len();
            for first in (0..width).step_by(TILE) {
                let row = (outputs.start + first) / TILE * num_tiles;
                for (column, tile) in (0..columns.len()).step_by(TILE).zip(&tiles[row..]) {
                    let (num_columns, num_numbers) = (columns.len() - column, width - first);
                    let out = &mut out[column * width + first..];
                    self.transpose(tile, out, width, num_columns.min(TILE), num_numbers.min(TILE));
                }
            }
            let at = &at[columns.start * width..][..out.len()];
            isa.run(Add { to: out, factor: l2_penalty as f32, values: at });
            square += dot(isa, at, at);
        }
        Ok(((used.start, 0), square))
    }
}

/// Some features of a block, `first` and those that follow, filled up to a whole step.
fn pair_rows(rows: Contiguous<'_, Pair>, first: usize, num_features: usize) -> PairRows<'_> {
    PairRows {
        values: &rows.values[first / Pair::CHANNELS..],
        num_rows: rows.values.len() / rows.row_len,
        num_pairs: num_features.next_multiple_of(STEP_DEPTH) / Pair::CHANNELS,
        stride: rows.row_len,
    }
}

/// Some features of a block.
pub(super) struct Part<'a> {
    features: Range<usize>,
    /// From the block's beginning.
    columns: Range<usize>,
    /// Of the whole block.
    at: &'a PackedWeights,
    /// Of each panel.
    out: Vec<(Range<usize>, &'a mut [f32])>,
}

// Blocks and parts of whole steps.
const _: () =
    assert!(packing::BLOCK_LEN.is_multiple_of(STEP_DEPTH) && PART_LEN.is_multiple_of(STEP_DEPTH));
