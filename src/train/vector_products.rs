//! The products of a pass by the CPU's vectors, in f32.

use std::ops::Range;

use super::products::{Features, Products};
use super::vector::{Add, Vector, dot};
use crate::error::Result;
use crate::kernels::aligned::Aligned;
use crate::kernels::gemm::{Epilogue, PackedWeights, gemm_of_first};
use crate::kernels::gemm_transposed::{Panels, gemm_transposed};
use crate::kernels::isa::Isa;

impl Products for Isa {
    type Feature = f32;
    type Weights = ();
    type LogitGradients = PackedWeights;
    type Part<'a> = Part<'a>;

    // Multiples of the kernels' 12 rows.
    const ROWS: usize = 96;
    const TRIANGLE_ROWS: usize = 48;
    const LOSS_ROWS: usize = 24;

    const ROW_STEP: usize = 1;
    const FEATURE_STEP: usize = 1;

    fn keep_features(&self, values: &[f32], out: &mut [f32]) {
        out.copy_from_slice(values);
    }

    fn num_outputs(&self, num_classes: usize) -> usize {
        num_classes.next_multiple_of(self.lanes())
    }

    fn weights(&self, _at: &Vector) {}

    fn logit_gradients(&self, num_rows: usize, num_classes: usize) -> PackedWeights {
        PackedWeights::zeros(*self, num_rows, num_classes)
    }

    fn keep(&self, gradients: &[f32], num_rows: usize, out: &mut PackedWeights) {
        let rows = gradients.chunks_exact(out.num_outputs()).take(num_rows).enumerate();
        rows.for_each(|(row, gradients)| out.set_row(row, gradients));
    }

    fn add_logits(
        &self,
        features: Features<Isa>,
        chunk: usize,
        (at, ()): (&Vector, &()),
        logits: &mut [f32],
        buffer: &mut Aligned<f32>,
    ) -> Result<()> {
        features.for_each_block(chunk, buffer, |block, rows, depth, ahead| {
            let epilogue = Epilogue { bias: &[], add: true, relu: false };
            gemm_of_first(*self, &rows, depth, &at.weights[block], epilogue, logits, ahead);
        })
    }

    fn parts<'a>(
        &self,
        features: Range<usize>,
        at: &'a PackedWeights,
        gradient: &'a mut PackedWeights,
        is_triangular: bool,
    ) -> Vec<Part<'a>> {
        let part = |(outputs, out)| Part { features: features.clone(), outputs, at, out };
        if is_triangular {
            gradient.panels_mut().map(part).collect()
        } else {
            vec![part((0..gradient.num_outputs(), gradient.values_mut()))]
        }
    }

    fn compute(
        &self,
        features: Features<Isa>,
        logit_gradients: &[PackedWeights],
        part: Part<'_>,
        l2_penalty: f64,
    ) -> Result<((usize, usize), f64)> {
        let Part { features: block, outputs, at, out } = part;
        let (mut is_first, mut buffer) = (true, Aligned::default());
        // The last rows have all the features.
        for chunk in (0..features.chunks.num_chunks()).rev() {
            let depth = features.depth(&block, chunk);
            if depth == 0 {
                break;
            }
            let rows = features.chunks.block(chunk, &block, &mut buffer)?;
            let panels = Panels { weights: &logit_gradients[chunk], outputs: outputs.clone() };
            let ahead = features.chunks.after_in_block(chunk, &block);
            gemm_transposed(*self, rows, depth, panels, !is_first, out, ahead);
            is_first = false;
        }
        let at = &at.values()[outputs.start * block.len()..][..out.len()];
        self.run(Add { to: out, factor: l2_penalty as f32, values: at });
        Ok(((block.start, outputs.start), dot(*self, at, at)))
    }
}

/// A block, or a panel of one.
pub(super) struct Part<'a> {
    features: Range<usize>,
    outputs: Range<usize>,
    /// Of the whole block.
    at: &'a PackedWeights,
    out: &'a mut [f32],
}
