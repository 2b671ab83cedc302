//! bf16 with sums in f32, for CPUs that multiply it by themselves.
//!
//! Rows of a product are found as in f32, a pair in place of a value.

mod products;

use std::fs;

use super::arithmetic::{Arithmetic, F32Products};
use super::cap::{self, Level};
use super::gemm::{Contiguous, Epilogue, Rows, out_stride};
use super::isa::Isa;
use super::lines::RowsInLines;
use super::pairs::tile::{MAX_ROWS, Tile, for_each_tile};
use super::pairs::{PackedPairs, Pair};
use super::panels::OUTPUTS;
use products::Rounding;

/// Bytes of rows that are multiplied with all outputs before the next: see `gemm`.
const ROWS_BYTES: usize = 192 << 10;

/// AVX512_BF16, which this CPU is known to have: AMD since Zen 4, Intel's Cooper Lake and Sapphire
/// Rapids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bf16 {
    isa: Isa,
}

impl Bf16 {
    /// `None` where the CPU lacks the instructions, or `ONEDNN_MAX_CPU_ISA` withholds them.
    pub fn detect() -> Option<Self> {
        let isa = Isa::fastest();
        let has_bf16 = is_x86_feature_detected!("avx512bf16") && cap::leaves(Level::Avx512Bf16);
        (has_bf16 && matches!(isa, Isa::Avx512(_))).then_some(Bf16 { isa })
    }

    /// Whether this CPU multiplies faster in bf16 than in f32. AMD's do: ResNet50 takes 0.54 times as
    /// long on a Zen 4. On an Intel Xeon of model 207 it takes 1.55 times as long.
    pub fn is_faster_than_f32(self) -> bool {
        is_of_amd(&fs::read_to_string("/proc/cpuinfo").unwrap_or_default())
    }
}

fn is_of_amd(cpuinfo: &str) -> bool {
    let vendor = cpuinfo.lines().find(|line| line.starts_with("vendor_id"));
    vendor.is_some_and(|line| line.ends_with("AuthenticAMD"))
}

impl Arithmetic for Bf16 {
    type Value = Pair;
    type Weights = PackedPairs;

    fn isa(self) -> Isa {
        self.isa
    }

    fn with_capacity(
        self,
        num_segments: usize,
        segment_len: usize,
        num_outputs: usize,
    ) -> PackedPairs {
        PackedPairs::for_channels(num_segments, segment_len, num_outputs, 1)
    }

    fn push_panel(self, panel: &[[f32; OUTPUTS]], weights: &mut PackedPairs) {
        weights.push_bf16(self.isa, panel);
    }

    fn round(self, values: &[f32], out: &mut [Pair]) {
        products::round(self, values, out);
    }

    fn multiply(
        self,
        rows: &impl RowsInLines<Pair>,
        weights: &PackedPairs,
        epilogue: Epilogue,
        out: &mut [Pair],
    ) {
        let stride = out_stride(rows.num_rows(), weights.num_outputs / 2, out.len());
        in_blocks(rows, weights, |tile, row, output| {
            let rounding = Rounding {
                bias: epilogue.bias.get(output..output + OUTPUTS),
                add: epilogue.add,
                relu: epilogue.relu,
            };
            let out = &mut out[row * stride + output / 2..];
            products::to_pairs(self, tile, rounding, out, stride);
        });
    }
}

impl F32Products for Bf16 {
    fn multiply_to_f32(self, rows: &Contiguous<'_, Pair>, weights: &PackedPairs, out: &mut [f32]) {
        let stride = out_stride(rows.num_rows(), weights.num_outputs, out.len());
        in_blocks(rows, weights, |tile, row, output| {
            products::to_sums(self, tile, &mut out[row * stride + output..], stride);
        });
    }
}

/// Calls `compute` with every tile, its first row and its first output.
fn in_blocks(
    rows: &impl Rows<Pair>,
    weights: &PackedPairs,
    mut compute: impl FnMut(&Tile, usize, usize),
) {
    let num_rows = rows.num_rows();
    let depth = weights.num_segments * weights.segment_len;
    let block_len = (ROWS_BYTES / (size_of::<Pair>() * depth * MAX_ROWS)).max(1) * MAX_ROWS;
    for first_row in (0..num_rows).step_by(block_len) {
        let block = first_row..num_rows.min(first_row + block_len);
        for_each_tile(rows, block, weights, &mut compute);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vendor_decides() {
        assert!(is_of_amd("processor\t: 0\nvendor_id\t: AuthenticAMD\n"));
        assert!(!is_of_amd("processor\t: 0\nvendor_id\t: GenuineIntel\n"));
        assert!(!is_of_amd(""));
    }
}
