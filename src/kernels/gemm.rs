//! Matrix product of rows that lie anywhere with weights that were packed beforehand.
//!
//! A row of the left matrix is the concatenation of segments, which [`Rows`] finds in memory: a
//! pixel for a 1x1 convolution, nine pixels for a 3x3 one. So a convolution needs no copy of its
//! input. Tiles of rows x outputs are kept in registers while their depth is run through (Goto and
//! van de Geijn 2008).

use std::ops::Range;

use pulp::Simd;

use super::isa::{Isa, Kernel};

/// Vectors of outputs in a tile.
const PANEL_VECTORS: usize = 2;
/// Rows of a tile with 16 vector registers: 12 accumulators, 2 weights, 1 value of a row.
const TILE_ROWS: usize = 6;
/// Rows of a tile with 32 vector registers.
const TILE_ROWS_AVX512: usize = 12;
/// Bytes of rows that are multiplied with all outputs before the next: they stay in the L2 cache,
/// 512 KiB at least on servers since 2017, beside a panel of weights.
const ROWS_BYTES: usize = 192 << 10;
/// Depth after which sums go to memory and come back for the next segments, so that the weights of
/// a panel stay in the L2 cache.
const SEGMENTS_DEPTH: usize = 512;

/// The right matrix `[depth, outputs]`, cut into panels of outputs.
#[derive(Debug, Clone)]
pub struct PackedWeights {
    /// `[outputs / panel, depth, panel]` f32.
    values: Vec<f32>,
    panel: usize,
    num_outputs: usize,
    segment_len: usize,
    num_segments: usize,
}

impl PackedWeights {
    /// Packs `weight(depth, output)` for `isa`; `depth = num_segments * segment_len`.
    /// `num_outputs` is a multiple of the panel, two vectors.
    pub fn new(
        isa: Isa,
        num_segments: usize,
        segment_len: usize,
        num_outputs: usize,
        weight: impl Fn(usize, usize) -> f32,
    ) -> Self {
        let panel = PANEL_VECTORS * isa.lanes();
        assert_eq!(num_outputs % panel, 0, "outputs are not a multiple of {panel}");
        let depth = num_segments * segment_len;
        let mut values = Vec::with_capacity(depth * num_outputs);
        for first in (0..num_outputs).step_by(panel) {
            for d in 0..depth {
                values.extend((first..first + panel).map(|output| weight(d, output)));
            }
        }
        PackedWeights { values, panel, num_outputs, segment_len, num_segments }
    }

    /// Zeros, for `num_outputs` rounded up to whole panels.
    pub fn zeros(isa: Isa, depth: usize, num_outputs: usize) -> Self {
        let num_outputs = num_outputs.next_multiple_of(PANEL_VECTORS * isa.lanes());
        PackedWeights::new(isa, 1, depth, num_outputs, |_, _| 0.0)
    }

    /// All weights, `[outputs / panel, depth, panel]` f32.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// The same, to be changed.
    pub fn values_mut(&mut self) -> &mut [f32] {
        &mut self.values
    }

    /// Outputs in a panel.
    pub fn panel(&self) -> usize {
        self.panel
    }

    /// Columns of the product.
    pub fn num_outputs(&self) -> usize {
        self.num_outputs
    }
}

/// The left matrix.
pub trait Rows {
    /// Number of rows.
    fn num_rows(&self) -> usize;
    /// A segment of a row, at least as long as the weights' segments.
    fn segment(&self, row: usize, segment: usize) -> &[f32];
}

/// Rows of one segment, one after the other.
#[derive(Debug, Clone, Copy)]
pub struct Contiguous<'a> {
    /// `[rows, len]` f32.
    pub values: &'a [f32],
    /// Length of a row.
    pub row_len: usize,
}

impl Rows for Contiguous<'_> {
    #[inline(always)]
    fn num_rows(&self) -> usize {
        self.values.len() / self.row_len
    }

    #[inline(always)]
    fn segment(&self, row: usize, _segment: usize) -> &[f32] {
        &self.values[row * self.row_len..]
    }
}

/// What a sum begins with and how it ends.
#[derive(Debug, Clone, Copy)]
pub struct Epilogue<'a> {
    /// `[outputs]` f32. Empty: zeros.
    pub bias: &'a [f32],
    /// Whether what the output holds is added to.
    pub add: bool,
    /// Negative sums become zero.
    pub relu: bool,
}

/// Writes `rows * weights` to `out`, `[rows, outputs]` f32.
pub fn gemm(
    isa: Isa,
    rows: &impl Rows,
    weights: &PackedWeights,
    epilogue: Epilogue,
    out: &mut [f32],
) {
    assert_eq!(
        out.len(),
        rows.num_rows() * weights.num_outputs,
        "the output's shape is not the product's"
    );
    let tile_rows = if isa.lanes() == 16 { TILE_ROWS_AVX512 } else { TILE_ROWS };
    let depth = (SEGMENTS_DEPTH / weights.segment_len).clamp(1, weights.num_segments);
    let block_len = (ROWS_BYTES / (4 * depth * weights.segment_len * tile_rows)).max(1) * tile_rows;
    for first_row in (0..rows.num_rows()).step_by(block_len) {
        let block = first_row..rows.num_rows().min(first_row + block_len);
        for first in (0..weights.num_segments).step_by(depth) {
            let segments = first..weights.num_segments.min(first + depth);
            for output in (0..weights.num_outputs).step_by(weights.panel) {
                let segments = segments.clone();
                let mut product = Product { isa, rows, weights, segments, epilogue, output, out };
                for row in block.clone().step_by(tile_rows) {
                    match tile_rows.min(block.end - row) {
                        1 => product.tile::<1>(row),
                        2 => product.tile::<2>(row),
                        3 => product.tile::<3>(row),
                        4 => product.tile::<4>(row),
                        5 => product.tile::<5>(row),
                        6 => product.tile::<6>(row),
                        7 => product.tile::<7>(row),
                        8 => product.tile::<8>(row),
                        9 => product.tile::<9>(row),
                        10 => product.tile::<10>(row),
                        11 => product.tile::<11>(row),
                        _ => product.tile::<12>(row),
                    }
                }
            }
        }
    }
}

/// A panel of the product, or the part of it that some of the segments contribute.
struct Product<'a, R> {
    isa: Isa,
    rows: &'a R,
    weights: &'a PackedWeights,
    segments: Range<usize>,
    epilogue: Epilogue<'a>,
    /// First output of the panel.
    output: usize,
    out: &'a mut [f32],
}

impl<R: Rows> Product<'_, R> {
    /// Computes `LEN` rows from `row`.
    fn tile<const LEN: usize>(&mut self, row: usize) {
        let PackedWeights { panel, num_outputs, segment_len, num_segments, .. } = *self.weights;
        let is_first = self.segments.start == 0;
        let first_weight = self.output * segment_len * num_segments;
        let bias = if is_first { self.epilogue.bias } else { &[] };
        self.isa.run(Tile::<R, LEN> {
            rows: self.rows,
            row,
            segments: self.segments.clone(),
            weights: &self.weights.values
                [first_weight + self.segments.start * segment_len * panel..],
            segment_len,
            bias: bias.get(self.output..).unwrap_or_default(),
            add: self.epilogue.add || !is_first,
            relu: self.epilogue.relu && self.segments.end == num_segments,
            out: &mut self.out[row * num_outputs + self.output..],
            out_stride: num_outputs,
        });
    }
}

struct Tile<'a, R, const LEN: usize> {
    rows: &'a R,
    row: usize,
    segments: Range<usize>,
    /// `[depth, panel]`, from the first segment.
    weights: &'a [f32],
    segment_len: usize,
    bias: &'a [f32],
    add: bool,
    relu: bool,
    out: &'a mut [f32],
    /// From a row to the next.
    out_stride: usize,
}

impl<R: Rows, const LEN: usize> Kernel for Tile<'_, R, LEN> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let zeros = [simd.splat_f32s(0.0); PANEL_VECTORS];
        let bias = *panels::<S>(self.bias).first().unwrap_or(&zeros);
        let mut sums = [bias; LEN];
        if self.add {
            for i in 0..LEN {
                let out = &panels::<S>(&self.out[i * self.out_stride..])[0];
                for v in 0..PANEL_VECTORS {
                    sums[i][v] = simd.add_f32s(sums[i][v], out[v]);
                }
            }
        }
        let weights = panels::<S>(self.weights).chunks_exact(self.segment_len);
        for (segment, weights) in self.segments.zip(weights) {
            let mut rows: [&[f32]; LEN] = [&[]; LEN];
            for i in 0..LEN {
                rows[i] = &self.rows.segment(self.row + i, segment)[..weights.len()];
            }
            multiply_add(simd, rows, weights, &mut sums);
        }
        for i in 0..LEN {
            let out = S::as_mut_simd_f32s(&mut self.out[i * self.out_stride..]).0;
            for v in 0..PANEL_VECTORS {
                let sum = sums[i][v];
                out[v] = if self.relu { simd.max_f32s(sum, simd.splat_f32s(0.0)) } else { sum };
            }
        }
    }
}

/// Adds `rows * weights`, of `[LEN, depth]` and `[depth, panel]`, to `sums`.
#[inline(always)]
fn multiply_add<S: Simd, const LEN: usize>(
    simd: S,
    mut rows: [&[f32]; LEN],
    weights: &[[S::f32s; PANEL_VECTORS]],
    sums: &mut [[S::f32s; PANEL_VECTORS]; LEN],
) {
    // One length for all, so that no bound is checked in the loop; a copy, so that it is kept in
    // registers.
    for row in &mut rows {
        *row = &row[..weights.len()];
    }
    let mut local = *sums;
    for (depth, weights) in weights.iter().enumerate() {
        for i in 0..LEN {
            let value = simd.splat_f32s(rows[i][depth]);
            for v in 0..PANEL_VECTORS {
                local[i][v] = simd.mul_add_f32s(value, weights[v], local[i][v]);
            }
        }
    }
    *sums = local;
}

#[inline(always)]
fn panels<S: Simd>(values: &[f32]) -> &[[S::f32s; PANEL_VECTORS]] {
    S::as_simd_f32s(values).0.as_chunks().0
}
