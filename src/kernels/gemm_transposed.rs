//! Matrix product whose left matrix lies transposed, as a gradient by weights has it.

use pulp::Simd;

use super::gemm::{PANEL_VECTORS, PackedWeights, panels, tile_rows, unroll};
use super::isa::{Isa, Kernel};

/// Writes `columns^T * weights` to `out`, `[rows, outputs]` f32. `columns` is `[depth, rows]` f32, where
/// the depth is that of the weights.
pub fn gemm_transposed(
    isa: Isa,
    columns: &[f32],
    num_rows: usize,
    weights: &PackedWeights,
    out: &mut [f32],
) {
    let num_outputs = weights.num_outputs();
    let depth = weights.values().len() / num_outputs;
    assert_eq!(columns.len(), depth * num_rows, "the left matrix has not the weights' depth");
    assert_eq!(out.len(), num_rows * num_outputs, "the output's shape is not the product's");
    for first in (0..num_outputs).step_by(weights.panel()) {
        let weights = &weights.values()[first * depth..][..weights.panel() * depth];
        isa.run(Panel { columns, num_rows, weights, out: &mut out[first..], num_outputs });
    }
}

struct Panel<'a> {
    columns: &'a [f32],
    num_rows: usize,
    /// `[depth, panel]`
    weights: &'a [f32],
    /// From the first row's first output of the panel.
    out: &'a mut [f32],
    num_outputs: usize,
}

impl Kernel for Panel<'_> {
    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        let tile_rows = tile_rows(S::F32_LANES);
        let mut row = 0;
        while row + tile_rows <= self.num_rows {
            if tile_rows == 12 {
                self.tile::<S, 12>(simd, row);
            } else {
                self.tile::<S, 6>(simd, row);
            }
            row += tile_rows;
        }
        while row < self.num_rows {
            self.tile::<S, 1>(simd, row);
            row += 1;
        }
    }
}

impl Panel<'_> {
    /// Computes `LEN` rows from `row`.
    #[inline(always)]
    fn tile<S: Simd, const LEN: usize>(&mut self, simd: S, row: usize) {
        let mut sums = [[simd.splat_f32s(0.0); PANEL_VECTORS]; LEN];
        let columns = self.columns.chunks_exact(self.num_rows);
        for (column, weights) in columns.zip(panels::<S>(self.weights)) {
            let values = &column[row..row + LEN];
            unroll::<LEN>(
                #[inline(always)]
                |i| {
                    let value = simd.splat_f32s(values[i]);
                    for v in 0..PANEL_VECTORS {
                        sums[i][v] = simd.mul_add_f32s(value, weights[v], sums[i][v]);
                    }
                },
            );
        }
        let out = &mut self.out[row * self.num_outputs..];
        unroll::<LEN>(
            #[inline(always)]
            |i| {
                let out = S::as_mut_simd_f32s(&mut out[i * self.num_outputs..]).0;
                out.as_chunks_mut().0[0] = sums[i];
            },
        );
    }
}
