//! Matrix product whose left matrix lies transposed, as a gradient by weights has it.

use std::ops::Range;

use pulp::Simd;

use super::fetch::Ahead;
use super::gemm::{
    Contiguous, OfWidth, PANEL_VECTORS, PackedWeights, Rows, Tiles, panels, tile_rows, unroll,
};
use super::isa::Isa;

/// Writes `columns^T * weights` to `out`, packed as these panels of weights are: `[outputs / panel, rows, panel]`
/// f32, of which the last panel may be half as wide; or adds it to what is there. `columns` are
/// `[depth, num_rows]` f32, where the depth is that of the weights, or the first of longer lines. `out` may have
/// more rows, which are left as they are. Meanwhile `ahead` is brought into the cache.
pub fn gemm_transposed(
    isa: Isa,
    columns: Contiguous<'_, f32>,
    num_rows: usize,
    weights: Panels<'_>,
    add: bool,
    out: &mut [f32],
    ahead: &[f32],
) {
    let Panels { weights, outputs } = weights;
    let depth = weights.values().len() / weights.num_outputs();
    if outputs.is_empty() {
        return;
    }
    let out_rows = out.len() / outputs.len();
    assert_eq!(columns.num_rows(), depth, "the left matrix has not the weights' depth");
    assert!(
        out.len() == out_rows * outputs.len() && num_rows <= out_rows,
        "the output's shape is not the product's"
    );
    let num_panels = outputs.len().div_ceil(PANEL_VECTORS * isa.lanes());
    let mut ahead = Ahead::new(ahead, num_panels * num_rows.div_ceil(tile_rows(isa.lanes())));
    let mut rest = out;
    for (of_panel, weights) in weights.panels() {
        if !outputs.contains(&of_panel.start) {
            continue;
        }
        let width = of_panel.len();
        let (out, after) = rest.split_at_mut(width * out_rows);
        rest = after;
        let panel = Panel { columns, num_rows, weights, add, out, ahead: &mut ahead };
        if width == PANEL_VECTORS * isa.lanes() {
            isa.run(OfWidth::<_, PANEL_VECTORS>(panel));
        } else {
            isa.run(OfWidth::<_, 1>(panel));
        }
    }
}

/// Some of the weights' panels, one beside the other.
#[derive(Debug, Clone)]
pub struct Panels<'a> {
    /// Those of all outputs.
    pub weights: &'a PackedWeights,
    /// From where one panel begins to where one ends.
    pub outputs: Range<usize>,
}

impl<'a> From<&'a PackedWeights> for Panels<'a> {
    /// All of them.
    fn from(weights: &'a PackedWeights) -> Self {
        Panels { weights, outputs: 0..weights.num_outputs() }
    }
}

struct Panel<'a, 'b> {
    columns: Contiguous<'a, f32>,
    num_rows: usize,
    /// `[depth, panel]`
    weights: &'a [f32],
    add: bool,
    /// `[num_rows, panel]`, or more rows.
    out: &'a mut [f32],
    ahead: &'a mut Ahead<'b, f32>,
}

impl Tiles for Panel<'_, '_> {
    #[inline(always)]
    fn rows(&self) -> Range<usize> {
        0..self.num_rows
    }

    #[inline(always)]
    fn tile<S: Simd, const LEN: usize, const VECTORS: usize>(&mut self, simd: S, row: usize) {
        if LEN > tile_rows(S::F32_LANES) {
            return;
        }
        self.ahead.step();
        let mut sums = [[simd.splat_f32s(0.0); VECTORS]; LEN];
        let columns = self.columns.values.chunks(self.columns.row_len);
        for (column, weights) in columns.zip(panels::<S, VECTORS>(self.weights)) {
            let values = &column[row..row + LEN];
            unroll::<LEN>(
                #[inline(always)]
                |i| {
                    let value = simd.splat_f32s(values[i]);
                    for v in 0..VECTORS {
                        sums[i][v] = simd.mul_add_f32s(value, weights[v], sums[i][v]);
                    }
                },
            );
        }
        let add = self.add;
        let out = &mut S::as_mut_simd_f32s(self.out).0.as_chunks_mut().0[row..row + LEN];
        unroll::<LEN>(
            #[inline(always)]
            |i| {
                if add {
                    for v in 0..VECTORS {
                        sums[i][v] = simd.add_f32s(sums[i][v], out[i][v]);
                    }
                }
                out[i] = sums[i];
            },
        );
    }
}
