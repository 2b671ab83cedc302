//! bf16 with sums in f32, for CPUs that multiply it by themselves.
//!
//! Two neighbouring channels lie in 32 bits, the first in the lower half: the instruction multiplies
//! pairs. Rows of a product are found as in f32, a pair in place of a value.

mod tile;

use std::fs;

use pulp::Simd;

use super::aligned::Aligned;
use super::arithmetic::{Arithmetic, MAX_PARTS, Value, bf16_bits};
use super::cap::{self, Level};
use super::gemm::{Contiguous, Epilogue, Rows};
use super::isa::{Isa, Kernel};
use super::packing;
use tile::{MAX_ROWS, OUTPUTS, Rounding, Tile};

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

/// Two channels as bf16.
pub type Pair = u32;

/// The right matrix `[depth, outputs]`, cut into panels of 32 outputs.
#[derive(Debug)]
pub struct PackedPairs {
    /// `[outputs / 32, depth / 2, 32]`
    values: Aligned<Pair>,
    num_outputs: usize,
    num_segments: usize,
    /// In pairs.
    segment_len: usize,
}

impl Arithmetic for Bf16 {
    type Value = Pair;
    type Weights = PackedPairs;

    fn isa(self) -> Isa {
        self.isa
    }

    fn pack(
        self,
        num_segments: usize,
        segment_len: usize,
        num_outputs: usize,
        weight: impl Fn(usize, usize, usize) -> f32,
    ) -> PackedPairs {
        assert!(
            segment_len.is_multiple_of(2),
            "a segment of {segment_len} channels has no whole pairs"
        );
        assert!(num_outputs.is_multiple_of(OUTPUTS), "outputs are not a multiple of {OUTPUTS}");
        let segment_len = segment_len / 2;
        let mut values = Aligned::default();
        let packed = values.resized(num_segments * segment_len * num_outputs);
        packing::fill(packed, num_segments, segment_len, OUTPUTS, |segment, place, output| {
            let channel = |channel| weight(segment, channel, output);
            pair(channel(2 * place), channel(2 * place + 1))
        });
        PackedPairs { values, num_outputs, num_segments, segment_len }
    }

    fn pack_matrix(self, matrix: &[f32], num_outputs: usize) -> PackedPairs {
        assert!(num_outputs.is_multiple_of(OUTPUTS), "outputs are not a multiple of {OUTPUTS}");
        let depth = matrix.len() / num_outputs;
        assert!(depth.is_multiple_of(2), "a depth of {depth} has no whole pairs");
        let segment_len = depth / 2;
        let mut values = Aligned::default();
        let packed = values.resized(segment_len * num_outputs);
        self.isa.run(PackMatrix { matrix, num_outputs, packed });
        PackedPairs { values, num_outputs, num_segments: 1, segment_len }
    }

    fn round(self, values: &[f32], out: &mut [Pair]) {
        tile::round(self, values, out);
    }

    fn multiply(
        self,
        rows: &impl Rows<Pair>,
        weights: &PackedPairs,
        epilogue: Epilogue,
        out: &mut [Pair],
    ) {
        let stride = stride(rows.num_rows(), weights.num_outputs / 2, out.len());
        self.for_each_tile(rows, weights, |tile, row, output| {
            let rounding = Rounding {
                bias: epilogue.bias.get(output..output + OUTPUTS),
                add: epilogue.add,
                relu: epilogue.relu,
            };
            tile.to_pairs(rounding, &mut out[row * stride + output / 2..], stride);
        });
    }

    fn multiply_to_f32(self, rows: &Contiguous<'_, Pair>, weights: &PackedPairs, out: &mut [f32]) {
        let stride = stride(rows.num_rows(), weights.num_outputs, out.len());
        self.for_each_tile(rows, weights, |tile, row, output| {
            tile.to_sums(&mut out[row * stride + output..], stride);
        });
    }
}

/// Rounds `[depth, outputs]` into panels.
struct PackMatrix<'a> {
    matrix: &'a [f32],
    num_outputs: usize,
    /// `[outputs / 32, depth / 2, 32]`
    packed: &'a mut [Pair],
}

impl Kernel for PackMatrix<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, _simd: S) {
        let num_lines = self.matrix.len() / self.num_outputs / 2;
        for (index, line) in self.packed.as_chunks_mut::<OUTPUTS>().0.iter_mut().enumerate() {
            let (panel, pair_of_rows) = (index / num_lines, index % num_lines);
            let first = 2 * pair_of_rows * self.num_outputs + panel * OUTPUTS;
            let rows = &self.matrix[first..first + self.num_outputs + OUTPUTS];
            let (even, odd) = (&rows[..OUTPUTS], &rows[self.num_outputs..]);
            for output in 0..OUTPUTS {
                line[output] = pair(even[output], odd[output]);
            }
        }
    }
}

impl Bf16 {
    /// Calls `compute` with every tile, its first row and its first output.
    fn for_each_tile(
        self,
        rows: &impl Rows<Pair>,
        weights: &PackedPairs,
        mut compute: impl FnMut(&Tile, usize, usize),
    ) {
        let PackedPairs { num_outputs, num_segments, segment_len, .. } = *weights;
        let num_rows = rows.num_rows();
        let depth = num_segments * segment_len;
        let block_len = (ROWS_BYTES / (size_of::<Pair>() * depth * MAX_ROWS)).max(1) * MAX_ROWS;
        for first_row in (0..num_rows).step_by(block_len) {
            let end = num_rows.min(first_row + block_len);
            for output in (0..num_outputs).step_by(OUTPUTS) {
                let panel = &weights.values[output * depth..][..OUTPUTS * depth];
                let mut row = first_row;
                while row < end {
                    let len = tile_len(end - row);
                    let tile = Tile::new(self, rows, row..row + len, segment_len, panel);
                    compute(&tile, row, output);
                    row += len;
                }
            }
        }
    }
}

/// Rows of the next tile where some are left: about as many as the tiles after it have, since a tile of
/// one or two rows takes as long as one of three.
fn tile_len(num_rows: usize) -> usize {
    num_rows.div_ceil(num_rows.div_ceil(MAX_ROWS))
}

/// From a row of the output to the next.
fn stride(num_rows: usize, num_columns: usize, out_len: usize) -> usize {
    let stride = out_len / num_rows.max(1);
    assert!(
        out_len == num_rows * stride && (stride >= num_columns || num_rows == 0),
        "the output's shape is not the product's"
    );
    stride
}

/// Two numbers, each rounded to the nearest bf16, halves to even.
#[inline(always)]
fn pair(first: f32, second: f32) -> Pair {
    u32::from(bf16_bits(first)) | u32::from(bf16_bits(second)) << 16
}

impl Value for Pair {
    const CHANNELS: usize = 2;
    type Vector<S: Simd> = S::u32s;

    #[inline(always)]
    fn vectors<S: Simd>(values: &[Pair]) -> &[S::u32s] {
        S::as_simd_u32s(values).0
    }

    #[inline(always)]
    fn vectors_mut<S: Simd>(values: &mut [Pair]) -> &mut [S::u32s] {
        S::as_mut_simd_u32s(values).0
    }

    /// Part 0 are the first channels of all pairs, part 1 the second ones.
    #[inline(always)]
    fn part<S: Simd>(simd: S, vector: S::u32s, part: usize) -> S::f32s {
        let bits = if part == 0 {
            simd.wrapping_dyn_shl_u32s(vector, simd.splat_u32s(16))
        } else {
            simd.and_u32s(vector, simd.splat_u32s(0xffff_0000))
        };
        simd.transmute_f32s_u32s(bits)
    }

    /// Rounds to the nearest, halves away from zero.
    #[inline(always)]
    fn join<S: Simd>(simd: S, parts: [S::f32s; MAX_PARTS]) -> S::u32s {
        let half = simd.splat_u32s(0x8000);
        let first = simd.add_u32s(simd.transmute_u32s_f32s(parts[0]), half);
        let second = simd.add_u32s(simd.transmute_u32s_f32s(parts[1]), half);
        simd.or_u32s(
            simd.wrapping_dyn_shr_u32s(first, simd.splat_u32s(16)),
            simd.and_u32s(second, simd.splat_u32s(0xffff_0000)),
        )
    }

    fn channel(place: usize, lanes: usize) -> usize {
        let (vector, place) = (place / (2 * lanes), place % (2 * lanes));
        2 * lanes * vector + 2 * (place % lanes) + place / lanes
    }

    fn to_bf16(values: &[Pair], out: &mut [u16]) {
        for (out, &value) in out.as_chunks_mut().0.iter_mut().zip(values) {
            *out = [value as u16, (value >> 16) as u16];
        }
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

    #[test]
    fn numbers_are_rounded_to_the_nearest_bf16() {
        // bf16 has 8 bits of precision: next to 1 it knows 1 + 1/128 and 1 - 1/256.
        assert_eq!(pair(1.0, -2.0), 0xc000_3f80);
        assert_eq!(pair(1.0 + 1.0 / 256.0, 1.0 + 3.0 / 256.0), 0x3f82_3f80);
        assert_eq!(pair(f32::INFINITY, 0.0), 0x7f80);
        assert!(f32::from_bits(pair(f32::NAN, 0.0) << 16).is_nan());
    }

    #[test]
    fn places_of_the_parts_and_channels_are_one_to_one() {
        let channels: Vec<usize> = (0..64).map(|place| Pair::channel(place, 16)).collect();
        assert_eq!(channels[..3], [0, 2, 4]);
        assert_eq!(channels[16..18], [1, 3]);
        assert_eq!(channels[32], 32);
        let mut sorted = channels.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..64).collect::<Vec<_>>());
    }
}
