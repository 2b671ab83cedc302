//! How the products of a pass over the train split are taken.

use std::ops::Range;

use bytemuck::Pod;

use super::chunked_features::ChunkedFeatures;
use super::packing;
use super::vector::Vector;
use crate::error::Result;
use crate::kernels::aligned::Aligned;
use crate::kernels::arithmetic::Value;
use crate::kernels::gemm::{Contiguous, PackedWeights};

/// What takes them.
pub(super) trait Products: Copy + Sync {
    /// Features as they are kept.
    type Feature: Value + Pod;
    /// What is made of the weights at a point before they are multiplied.
    type Weights: Sync;
    /// The gradients by the logits of a chunk, as they are multiplied.
    type LogitGradients: Send + Sync;
    /// What one thread computes of the gradient at a time.
    type Part<'a>: Send;

    /// Rows of a chunk: their features of a block, and the gradients by their logits, stay in the L2 cache.
    const ROWS: usize;
    /// The same of a triangle, where it is also the width of the steps of what is left out.
    const TRIANGLE_ROWS: usize;
    /// The same where only the loss is wanted, so that a small split keeps several threads busy.
    const LOSS_ROWS: usize;

    /// Rows of a chunk are filled up to a multiple of these, with zeros.
    const ROW_STEP: usize;
    /// So are the features of a block.
    const FEATURE_STEP: usize;

    /// Writes features as they are kept.
    fn keep_features(&self, values: &[f32], out: &mut [Self::Feature]);

    /// Numbers of a row of logits, those that fill it up included.
    fn num_outputs(&self, num_classes: usize) -> usize;

    /// Prepares the weights at a point.
    fn weights(&self, at: &Vector) -> Self::Weights;

    /// Room for the gradients by the logits of a chunk.
    fn logit_gradients(&self, num_rows: usize, num_classes: usize) -> Self::LogitGradients;

    /// Keeps gradients by the logits of a chunk, `[rows, num_outputs]`, those of the first `num_rows`.
    fn keep(&self, gradients: &[f32], num_rows: usize, out: &mut Self::LogitGradients);

    /// Adds the products of a chunk's features to `logits`, `[rows, num_outputs]`, with the rows that fill it up.
    /// Features may be read to `buffer`.
    fn add_logits(
        &self,
        features: Features<Self>,
        chunk: usize,
        at: (&Vector, &Self::Weights),
        logits: &mut [f32],
        buffer: &mut Aligned<Self::Feature>,
    ) -> Result<()>;

    /// Parts of a block's gradient. Of a triangle there are more, since its first blocks have most to do.
    fn parts<'a>(
        &self,
        features: Range<usize>,
        at: &'a PackedWeights,
        gradient: &'a mut PackedWeights,
        is_triangular: bool,
    ) -> Vec<Self::Part<'a>>;

    /// Computes a part of the gradient, `l2_penalty` times the weights included. Returns its place among all
    /// parts, and the square of these weights.
    fn compute(
        &self,
        features: Features<Self>,
        logit_gradients: &[Self::LogitGradients],
        part: Self::Part<'_>,
        l2_penalty: f64,
    ) -> Result<((usize, usize), f64)>;
}

/// Features, of which rows may have none past the one of their own number.
#[derive(Clone, Copy)]
pub(super) struct Features<'a, P: Products> {
    pub(super) chunks: &'a ChunkedFeatures<P>,
    pub(super) is_triangular: bool,
}

impl<P: Products> Features<'_, P> {
    /// How many of some features the rows of a chunk may have.
    pub(super) fn depth(&self, features: &Range<usize>, chunk: usize) -> usize {
        let end = if self.is_triangular { self.chunks.rows(chunk).end } else { features.end };
        features.end.min(end).saturating_sub(features.start)
    }

    /// Shows `visit` what the rows of a chunk have of each block, in the order of the blocks: the block's number, its
    /// values `[rows, features]`, how many of its features are used, and the values that come next. They may be read
    /// to `buffer`.
    pub(super) fn for_each_block(
        &self,
        chunk: usize,
        buffer: &mut Aligned<P::Feature>,
        mut visit: impl FnMut(usize, Contiguous<P::Feature>, usize, &[P::Feature]),
    ) -> Result<()> {
        for (number, block) in packing::blocks(self.chunks.num_features).enumerate() {
            let depth = self.depth(&block, chunk);
            if depth == 0 {
                break;
            }
            let rows = self.chunks.block(chunk, &block, buffer)?;
            visit(number, rows, depth, self.chunks.after_in_chunk(chunk, &block));
        }
        Ok(())
    }
}
