//! Matrix product of rows that lie anywhere with weights that were packed beforehand.
//!
//! A row of the left matrix is the concatenation of segments, which [`Rows`] finds in memory: a
//! pixel for a 1x1 convolution, nine pixels for a 3x3 one. So a convolution needs no copy of its
//! input. Tiles of rows x outputs are kept in registers while their depth is run through (Goto and
//! van de Geijn 2008).

use std::mem;
use std::ops::Range;

use pulp::Simd;

use super::fetch::Ahead;
use super::isa::{Isa, Kernel};
use super::lines::{Lines, RowsInLines};
use super::packing;
use super::panels::OUTPUTS;

/// Vectors of outputs in a tile.
pub(super) const PANEL_VECTORS: usize = 2;
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

/// The right matrix `[depth, outputs]`, cut into panels of outputs. The last one may be half as wide.
#[derive(Debug, Clone)]
pub struct PackedWeights {
    /// `[outputs / panel, depth, panel]` f32.
    values: Vec<f32>,
    /// Outputs in a panel: two vectors.
    panel: usize,
    num_outputs: usize,
    segment_len: usize,
    num_segments: usize,
}

impl PackedWeights {
    /// Packs `weight(segment, place, output)` for `isa`; `num_outputs` fills whole vectors.
    pub fn new(
        isa: Isa,
        num_segments: usize,
        segment_len: usize,
        num_outputs: usize,
        weight: impl Fn(usize, usize, usize) -> f32,
    ) -> Self {
        let mut packed = PackedWeights::with_capacity(isa, num_segments, segment_len, num_outputs);
        packed.values.resize(num_segments * segment_len * num_outputs, 0.0);
        packing::fill(&mut packed.values, num_segments, segment_len, packed.panel, weight);
        packed
    }

    /// Packs `[depth, num_outputs]`; `num_outputs` fills whole vectors.
    pub fn of_matrix(isa: Isa, matrix: &[f32], num_outputs: usize) -> Self {
        let mut packed = PackedWeights::zeros(isa, matrix.len() / num_outputs, num_outputs);
        assert_eq!(packed.num_outputs, num_outputs, "outputs do not fill whole vectors");
        for (place, row) in matrix.chunks_exact(num_outputs).enumerate() {
            packed.set_row(place, row);
        }
        packed
    }

    /// Room for weights; `num_outputs` fills whole vectors.
    pub(super) fn with_capacity(
        isa: Isa,
        num_segments: usize,
        segment_len: usize,
        num_outputs: usize,
    ) -> Self {
        let panel = PANEL_VECTORS * isa.lanes();
        assert_eq!(num_outputs % isa.lanes(), 0, "outputs do not fill whole vectors");
        let values = Vec::with_capacity(num_segments * segment_len * num_outputs);
        PackedWeights { values, panel, num_outputs, segment_len, num_segments }
    }

    /// Zeros, for `num_outputs` rounded up to whole vectors.
    pub fn zeros(isa: Isa, depth: usize, num_outputs: usize) -> Self {
        let panel = PANEL_VECTORS * isa.lanes();
        let num_outputs = num_outputs.next_multiple_of(isa.lanes());
        let values = vec![0.0; depth * num_outputs];
        PackedWeights { values, panel, num_outputs, segment_len: depth, num_segments: 1 }
    }

    /// All weights, `[outputs / panel, depth, panel]` f32.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// The same, to be changed.
    pub fn values_mut(&mut self) -> &mut [f32] {
        &mut self.values
    }

    /// The outputs of each panel, with their weights `[depth, outputs]`.
    pub fn panels(&self) -> impl Iterator<Item = (Range<usize>, &[f32])> {
        let depth = self.segment_len * self.num_segments;
        panel_ranges(self.panel, self.num_outputs).map(move |outputs| {
            (outputs.clone(), &self.values[outputs.start * depth..outputs.end * depth])
        })
    }

    /// The same, to be changed.
    pub fn panels_mut(&mut self) -> impl Iterator<Item = (Range<usize>, &mut [f32])> {
        let depth = self.segment_len * self.num_segments;
        let mut rest = &mut self.values[..];
        panel_ranges(self.panel, self.num_outputs).map(move |outputs| {
            let (values, after) = mem::take(&mut rest).split_at_mut(outputs.len() * depth);
            rest = after;
            (outputs, values)
        })
    }

    /// Writes a row `[outputs]` of the matrix `[depth, outputs]`; outputs past the end of `row` keep
    /// what they are.
    pub fn set_row(&mut self, place: usize, row: &[f32]) {
        let depth = self.segment_len * self.num_segments;
        for outputs in panel_ranges(self.panel, self.num_outputs.min(row.len())) {
            let width = self.panel.min(self.num_outputs - outputs.start);
            let first = outputs.start * depth + place * width;
            self.values[first..first + outputs.len()].copy_from_slice(&row[outputs]);
        }
    }

    /// Adds the weights of the next 32 outputs, `[depth, 32]`, or of as many as are left.
    pub(super) fn push_outputs(&mut self, lines: &[[f32; OUTPUTS]]) {
        let depth = self.segment_len * self.num_segments;
        assert_eq!(lines.len(), depth, "the panel's depth is not the weights'");
        let first = self.values.len();
        let num_outputs = OUTPUTS.min(self.num_outputs - first / depth);
        if num_outputs == OUTPUTS && self.panel == OUTPUTS {
            return self.values.extend_from_slice(lines.as_flattened());
        }
        self.values.resize(first + num_outputs * depth, 0.0);
        let panels = self.values[first..].chunks_mut(self.panel * depth);
        for (outputs, values) in panel_ranges(self.panel, num_outputs).zip(panels) {
            for (line, values) in lines.iter().zip(values.chunks_exact_mut(outputs.len())) {
                values.copy_from_slice(&line[outputs.clone()]);
            }
        }
    }

    /// Columns of the product.
    pub fn num_outputs(&self) -> usize {
        self.num_outputs
    }
}

/// The outputs of each panel.
pub(super) fn panel_ranges(panel: usize, num_outputs: usize) -> impl Iterator<Item = Range<usize>> {
    (0..num_outputs).step_by(panel).map(move |first| first..num_outputs.min(first + panel))
}

/// The left matrix, of `T`.
pub trait Rows<T> {
    /// Where a row begins.
    type Place: Copy;
    /// Number of rows.
    fn num_rows(&self) -> usize;
    /// Finds a row.
    fn place(&self, row: usize) -> Self::Place;
    /// A segment of the row there, at least as long as the weights' segments.
    fn segment(&self, place: Self::Place, segment: usize) -> &[T];
}

/// Rows of one segment, one after the other.
#[derive(Debug, Clone, Copy)]
pub struct Contiguous<'a, T> {
    /// `[rows, len]`, where the last row may end with the weights' depth.
    pub values: &'a [T],
    /// From a row to the next. What the weights' depth leaves of it is not looked at.
    pub row_len: usize,
}

impl<T> Rows<T> for Contiguous<'_, T> {
    type Place = usize;

    #[inline(always)]
    fn num_rows(&self) -> usize {
        self.values.len().div_ceil(self.row_len)
    }

    #[inline(always)]
    fn place(&self, row: usize) -> usize {
        row * self.row_len
    }

    #[inline(always)]
    fn segment(&self, place: usize, _segment: usize) -> &[T] {
        &self.values[place..]
    }
}

impl<T> RowsInLines<T> for Contiguous<'_, T> {
    fn lines(&self) -> Lines<'_, T> {
        Lines {
            values: self.values,
            segments: &[0],
            row_stride: self.row_len,
            line_len: self.num_rows().max(1),
            line_stride: 0,
            image_len: 1,
            image_stride: 0,
            skipped: 0,
        }
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

/// Writes `rows * weights` to `out`, `[rows, outputs]` f32. Rows of `out` may be longer than there are
/// outputs: what is between them is left as it is.
pub fn gemm(
    isa: Isa,
    rows: &impl Rows<f32>,
    weights: &PackedWeights,
    epilogue: Epilogue,
    out: &mut [f32],
) {
    gemm_of(isa, rows, weights, weights.segment_len, epilogue, out, &[]);
}

/// The product of the first `depth` values of each row with the first `depth` lines of weights of one
/// segment, to `out` as [`gemm`] writes it. Meanwhile `ahead` is brought into the cache.
pub fn gemm_of_first(
    isa: Isa,
    rows: &Contiguous<'_, f32>,
    depth: usize,
    weights: &PackedWeights,
    epilogue: Epilogue,
    out: &mut [f32],
    ahead: &[f32],
) {
    assert!(
        weights.num_segments == 1 && depth <= weights.segment_len,
        "the weights have fewer lines"
    );
    gemm_of(isa, rows, weights, depth, epilogue, out, ahead);
}

/// Of the first `used_len` values of each segment; fewer than it has only if it is the only one.
fn gemm_of(
    isa: Isa,
    rows: &impl Rows<f32>,
    weights: &PackedWeights,
    used_len: usize,
    epilogue: Epilogue,
    out: &mut [f32],
    ahead: &[f32],
) {
    let num_rows = rows.num_rows();
    let out_stride = out_stride(num_rows, weights.num_outputs, out.len());
    let PackedWeights { panel, num_outputs, segment_len, num_segments, .. } = *weights;
    let tile_rows = tile_rows(isa.lanes());
    let depth = (SEGMENTS_DEPTH / segment_len).clamp(1, num_segments);
    let block_len = (ROWS_BYTES / (4 * depth * segment_len * tile_rows)).max(1) * tile_rows;
    let num_parts = num_segments.div_ceil(depth) * num_outputs.div_ceil(panel);
    let mut ahead = Ahead::new(ahead, num_parts * num_rows.div_ceil(tile_rows));
    for first_row in (0..num_rows).step_by(block_len) {
        for first in (0..num_segments).step_by(depth) {
            let segments = first..num_segments.min(first + depth);
            let (is_first, is_last) = (first == 0, segments.end == num_segments);
            for outputs in panel_ranges(panel, num_outputs) {
                let (output, width) = (outputs.start, outputs.len());
                let first_weight = (output * num_segments + first * width) * segment_len;
                let bias = if is_first { epilogue.bias } else { &[] };
                let product = Panel {
                    rows,
                    block: first_row..num_rows.min(first_row + block_len),
                    segments: segments.clone(),
                    weights: &weights.values[first_weight..],
                    segment_len: used_len,
                    bias: bias.get(output..).unwrap_or_default(),
                    add: epilogue.add || !is_first,
                    relu: epilogue.relu && is_last,
                    out: &mut out[output..],
                    out_stride,
                    ahead: &mut ahead,
                };
                if width == panel {
                    isa.run(OfWidth::<_, PANEL_VECTORS>(product));
                } else {
                    isa.run(OfWidth::<_, 1>(product));
                }
            }
        }
    }
}

/// From a row of the output, of `num_columns` values at least, to the next.
pub(super) fn out_stride(num_rows: usize, num_columns: usize, out_len: usize) -> usize {
    let stride = out_len / num_rows.max(1);
    assert!(
        out_len == num_rows * stride && (stride >= num_columns || num_rows == 0),
        "the output's shape is not the product's"
    );
    stride
}

/// Rows of a tile, by the vectors' length.
#[inline(always)]
pub(super) const fn tile_rows(lanes: usize) -> usize {
    if lanes == 16 { TILE_ROWS_AVX512 } else { TILE_ROWS }
}

/// A panel of the product for a block of rows, or what some of the segments contribute to it.
struct Panel<'a, 'b, R> {
    rows: &'a R,
    block: Range<usize>,
    segments: Range<usize>,
    /// `[depth, panel]`, from the first segment.
    weights: &'a [f32],
    segment_len: usize,
    bias: &'a [f32],
    add: bool,
    relu: bool,
    /// From the first row's first output of the panel.
    out: &'a mut [f32],
    /// From a row to the next.
    out_stride: usize,
    ahead: &'a mut Ahead<'b, f32>,
}

/// A panel of a product, which is computed tile by tile.
pub(super) trait Tiles {
    /// Which rows it has.
    fn rows(&self) -> Range<usize>;
    /// Computes `LEN` rows from `row`, of `VECTORS` vectors of outputs; nothing where `LEN` is more than
    /// [`tile_rows`].
    fn tile<S: Simd, const LEN: usize, const VECTORS: usize>(&mut self, simd: S, row: usize);
}

/// Of as many vectors of outputs.
pub(super) struct OfWidth<T, const VECTORS: usize>(pub(super) T);

impl<T: Tiles, const VECTORS: usize> Kernel for OfWidth<T, VECTORS> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let mut panel = self.0;
        let Range { start: mut row, end } = panel.rows();
        while row < end {
            let len = tile_rows(S::F32_LANES).min(end - row);
            match len {
                1 => panel.tile::<S, 1, VECTORS>(simd, row),
                2 => panel.tile::<S, 2, VECTORS>(simd, row),
                3 => panel.tile::<S, 3, VECTORS>(simd, row),
                4 => panel.tile::<S, 4, VECTORS>(simd, row),
                5 => panel.tile::<S, 5, VECTORS>(simd, row),
                6 => panel.tile::<S, 6, VECTORS>(simd, row),
                7 => panel.tile::<S, 7, VECTORS>(simd, row),
                8 => panel.tile::<S, 8, VECTORS>(simd, row),
                9 => panel.tile::<S, 9, VECTORS>(simd, row),
                10 => panel.tile::<S, 10, VECTORS>(simd, row),
                11 => panel.tile::<S, 11, VECTORS>(simd, row),
                _ => panel.tile::<S, 12, VECTORS>(simd, row),
            }
            row += len;
        }
    }
}

impl<R: Rows<f32>> Tiles for Panel<'_, '_, R> {
    #[inline(always)]
    fn rows(&self) -> Range<usize> {
        self.block.clone()
    }

    #[inline(always)]
    fn tile<S: Simd, const LEN: usize, const VECTORS: usize>(&mut self, simd: S, row: usize) {
        if LEN > tile_rows(S::F32_LANES) {
            return;
        }
        self.ahead.step();
        let zero = simd.splat_f32s(0.0);
        let mut sums = [[zero; VECTORS]; LEN];
        if let Some(bias) = panels::<S, VECTORS>(self.bias).first() {
            sums = [*bias; LEN];
        }
        let mut places = [self.rows.place(row); LEN];
        unroll::<LEN>(
            #[inline(always)]
            |i| places[i] = self.rows.place(row + i),
        );
        let weights = panels::<S, VECTORS>(self.weights);
        let mut first = 0;
        let mut segment = self.segments.start;
        while segment < self.segments.end {
            let weights = &weights[first..first + self.segment_len];
            let mut rows: [&[f32]; LEN] = [&[]; LEN];
            unroll::<LEN>(
                #[inline(always)]
                |i| rows[i] = &self.rows.segment(places[i], segment)[..weights.len()],
            );
            sums = multiply_add(simd, rows, weights, sums);
            first += self.segment_len;
            segment += 1;
        }
        let out = &mut self.out[row * self.out_stride..];
        // At the end, so that waiting for memory does not keep the sums from beginning.
        if self.add {
            unroll::<LEN>(
                #[inline(always)]
                |i| {
                    let out = &panels::<S, VECTORS>(&out[i * self.out_stride..])[0];
                    for v in 0..VECTORS {
                        sums[i][v] = simd.add_f32s(sums[i][v], out[v]);
                    }
                },
            );
        }
        if self.relu {
            unroll::<LEN>(
                #[inline(always)]
                |i| {
                    for v in 0..VECTORS {
                        sums[i][v] = simd.max_f32s(sums[i][v], zero);
                    }
                },
            );
        }
        unroll::<LEN>(
            #[inline(always)]
            |i| {
                let out = S::as_mut_simd_f32s(&mut out[i * self.out_stride..]).0;
                out.as_chunks_mut().0[0] = sums[i];
            },
        );
    }
}

/// Adds `rows * weights`, of `[LEN, depth]` and `[depth, panel]`, to `sums`.
#[inline(always)]
fn multiply_add<S: Simd, const LEN: usize, const VECTORS: usize>(
    simd: S,
    rows: [&[f32]; LEN],
    weights: &[[S::f32s; VECTORS]],
    mut sums: [[S::f32s; VECTORS]; LEN],
) -> [[S::f32s; VECTORS]; LEN] {
    for depth in 0..weights.len() {
        unroll::<LEN>(
            #[inline(always)]
            |i| {
                let value = simd.splat_f32s(rows[i][depth]);
                for v in 0..VECTORS {
                    sums[i][v] = simd.mul_add_f32s(value, weights[depth][v], sums[i][v]);
                }
            },
        );
    }
    sums
}

/// Calls `f` with each number below `LEN`, which is at most 12. The calls are written out, since an array
/// of vectors stays in registers only as long as no loop finds its elements.
#[inline(always)]
pub(super) fn unroll<const LEN: usize>(mut f: impl FnMut(usize)) {
    macro_rules! call {
        ($($i:literal)*) => {
            $(if $i < LEN {
                f($i);
            })*
        };
    }
    call!(0 1 2 3 4 5 6 7 8 9 10 11);
}

#[inline(always)]
pub(super) fn panels<S: Simd, const VECTORS: usize>(values: &[f32]) -> &[[S::f32s; VECTORS]] {
    S::as_simd_f32s(values).0.as_chunks().0
}
