//! 16-bit integers with exact sums, for CPUs that multiply and add pairs of them.
//!
//! Values are f32 everywhere but inside of products. There each row is rounded to integers of one norm, and so
//! are the weights of each output: by Cauchy and Schwarz no sum, of however many products, can then
//! overflow 32 bits. Nothing has to be known of the values beforehand. A row of n values is rounded to
//! 32700 / sqrt(n) steps for each standard deviation: 723 where n is 2048, 4087 where it is 64.

mod products;

use std::cell::RefCell;

use pulp::Simd;

use super::aligned::Aligned;
use super::arithmetic::{Arithmetic, F32Products};
use super::cap::{self, Level};
use super::gemm::{Contiguous, Epilogue, Rows, out_stride};
use super::isa::{Isa, Kernel};
use super::lines::RowsInLines;
use super::pairs::tile::{MAX_ROWS, for_each_tile};
use super::pairs::{OUTPUTS, PackedPairs, Pair, join};
use products::Scaling;

/// Values of a row at most. Rounding adds half of a step to each, 45 to the norm, with which the product of the
/// norms is still below 2^31.
const MAX_DEPTH: usize = 8192;
/// Norm of a row.
const ROW_NORM: f32 = 32_700.0;
/// Norm of an output's weights, of which none may be larger than [`MAX_WEIGHT`].
const WEIGHTS_NORM: f32 = 65_400.0;
const MAX_WEIGHT: f32 = 32_700.0;
/// Bytes of rounded rows that are multiplied with all outputs before the next are rounded: see `gemm`.
const ROWS_BYTES: usize = 128 << 10;

/// AVX512_VNNI, which this CPU is known to have: Intel's servers since Cascade Lake, AMD's since Zen 4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Int16 {
    isa: Isa,
}

impl Int16 {
    /// `None` where the CPU lacks the instructions, or `ONEDNN_MAX_CPU_ISA` withholds them.
    pub fn detect() -> Option<Self> {
        let isa = Isa::fastest();
        let has_vnni = is_x86_feature_detected!("avx512vnni") && cap::leaves(Level::Avx512Vnni);
        (has_vnni && matches!(isa, Isa::Avx512(_))).then_some(Int16 { isa })
    }
}

/// Integers, and what makes weights of them.
#[derive(Debug)]
pub struct ScaledWeights {
    /// Of one segment, which holds all of a row's.
    integers: PackedPairs,
    /// `[outputs]`
    scales: Vec<f32>,
    /// Of a row, in values.
    segment_len: usize,
}

/// Rounded rows.
#[derive(Debug, Default)]
struct Block {
    /// `[rows, depth / 2]`
    pairs: Aligned<Pair>,
    /// `[rows]`
    scales: Vec<f32>,
}

thread_local! {
    /// Kept from product to product.
    static BLOCK: RefCell<Block> = RefCell::default();
}

impl Arithmetic for Int16 {
    type Value = f32;
    type Weights = ScaledWeights;

    fn isa(self) -> Isa {
        self.isa
    }

    fn pack(
        self,
        num_segments: usize,
        segment_len: usize,
        num_outputs: usize,
        weight: impl Fn(usize, usize, usize) -> f32,
    ) -> ScaledWeights {
        assert!(num_segments * segment_len <= MAX_DEPTH, "sums of more products may overflow");
        let steps: Vec<f32> = (0..num_outputs)
            .map(|output| {
                let mut size = Size::default();
                for segment in 0..num_segments {
                    for channel in 0..segment_len {
                        size.add(weight(segment, channel, output));
                    }
                }
                size.steps()
            })
            .collect();
        let even_len = segment_len.next_multiple_of(2);
        let integer_at = |segment, channel, output| {
            if channel < segment_len {
                integer(weight(segment, channel, output) * steps[output])
            } else {
                0
            }
        };
        let mut integers = PackedPairs::new(num_segments, even_len, num_outputs, 1, integer_at);
        integers.segment_len *= num_segments;
        integers.num_segments = 1;
        ScaledWeights { integers, scales: inverses(&steps), segment_len }
    }

    fn round(self, values: &[f32], out: &mut [f32]) {
        self.isa.round(values, out);
    }

    fn multiply(
        self,
        rows: &impl RowsInLines<f32>,
        weights: &ScaledWeights,
        epilogue: Epilogue,
        out: &mut [f32],
    ) {
        self.multiply_rows(rows, weights, epilogue, out);
    }
}

impl F32Products for Int16 {
    fn pack_matrix(self, matrix: &[f32], num_outputs: usize) -> ScaledWeights {
        let depth = matrix.len() / num_outputs;
        assert!(depth.is_multiple_of(2), "a depth of {depth} has no whole pairs");
        assert!(depth <= MAX_DEPTH, "sums of more products may overflow");
        let mut steps = vec![0.0; num_outputs];
        self.isa.run(Steps { matrix, steps: &mut steps });
        let mut integers = PackedPairs::zeros(1, depth / 2, num_outputs);
        self.isa.run(PackMatrix { matrix, steps: &steps, packed: &mut integers.values });
        ScaledWeights { integers, scales: inverses(&steps), segment_len: depth }
    }

    fn multiply_to_f32(self, rows: &Contiguous<'_, f32>, weights: &ScaledWeights, out: &mut [f32]) {
        let epilogue = Epilogue { bias: &[], add: false, relu: false };
        self.multiply_rows(rows, weights, epilogue, out);
    }
}

impl Int16 {
    fn multiply_rows(
        self,
        rows: &impl Rows<f32>,
        weights: &ScaledWeights,
        epilogue: Epilogue,
        out: &mut [f32],
    ) {
        let ScaledWeights { integers, scales, segment_len } = weights;
        let num_rows = rows.num_rows();
        let stride = out_stride(num_rows, integers.num_outputs, out.len());
        let row_len = integers.segment_len;
        let block_len = (ROWS_BYTES / (size_of::<Pair>() * row_len * MAX_ROWS)).max(1) * MAX_ROWS;
        BLOCK.with_borrow_mut(|block| {
            for first in (0..num_rows).step_by(block_len) {
                let len = block_len.min(num_rows - first);
                let pairs = block.pairs.resized(len * row_len);
                block.scales.clear();
                for (row, pairs) in (first..).zip(pairs.chunks_exact_mut(row_len)) {
                    let scale = products::round_row(self, rows, row, *segment_len, ROW_NORM, pairs);
                    block.scales.push(scale);
                }
                let rounded = Contiguous { values: pairs, row_len };
                for_each_tile(&rounded, 0..len, integers, |tile, row, output| {
                    let scaling = Scaling {
                        row_scales: &block.scales[row..],
                        scales: &scales[output..],
                        bias: epilogue.bias.get(output..output + OUTPUTS),
                        add: epilogue.add,
                        relu: epilogue.relu,
                    };
                    let out = &mut out[(first + row) * stride + output..];
                    products::to_f32(self, tile, scaling, out, stride);
                });
            }
        });
    }
}

/// The size of an output's weights.
#[derive(Debug, Clone, Copy, Default)]
struct Size {
    square: f32,
    largest: f32,
}

impl Size {
    #[inline(always)]
    fn add(&mut self, weight: f32) {
        self.square += weight * weight;
        self.largest = self.largest.max(weight.abs());
    }

    /// How many steps 1 is rounded to.
    #[inline(always)]
    fn steps(self) -> f32 {
        if self.square > 0.0 {
            (WEIGHTS_NORM / self.square.sqrt()).min(MAX_WEIGHT / self.largest)
        } else {
            0.0
        }
    }
}

/// How many steps 1 is rounded to, for each output of `[depth, outputs]`.
struct Steps<'a> {
    matrix: &'a [f32],
    /// `[outputs]`
    steps: &'a mut [f32],
}

impl Kernel for Steps<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, _simd: S) {
        let num_outputs = self.steps.len();
        for (panel, steps) in self.steps.as_chunks_mut::<OUTPUTS>().0.iter_mut().enumerate() {
            let (mut squares, mut largest) = ([0.0f32; OUTPUTS], [0.0f32; OUTPUTS]);
            for row in self.matrix.chunks_exact(num_outputs) {
                let row = &row[panel * OUTPUTS..][..OUTPUTS];
                for output in 0..OUTPUTS {
                    squares[output] += row[output] * row[output];
                    largest[output] = largest[output].max(row[output].abs());
                }
            }
            for output in 0..OUTPUTS {
                let size = Size { square: squares[output], largest: largest[output] };
                steps[output] = size.steps();
            }
        }
    }
}

/// Rounds `[depth, outputs]` into panels.
struct PackMatrix<'a> {
    matrix: &'a [f32],
    /// `[outputs]`
    steps: &'a [f32],
    /// `[outputs / 32, depth / 2, 32]`
    packed: &'a mut [Pair],
}

impl Kernel for PackMatrix<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, _simd: S) {
        let num_outputs = self.steps.len();
        let num_lines = self.matrix.len() / num_outputs / 2;
        for (index, line) in self.packed.as_chunks_mut::<OUTPUTS>().0.iter_mut().enumerate() {
            let (panel, pair_of_rows) = (index / num_lines, index % num_lines);
            let first = 2 * pair_of_rows * num_outputs + panel * OUTPUTS;
            let rows = &self.matrix[first..first + num_outputs + OUTPUTS];
            let (even, odd) = (&rows[..OUTPUTS], &rows[num_outputs..]);
            let steps = &self.steps[panel * OUTPUTS..][..OUTPUTS];
            for output in 0..OUTPUTS {
                let integer = |row: &[f32]| integer(row[output] * steps[output]);
                line[output] = join(integer(even), integer(odd));
            }
        }
    }
}

/// The bits of the nearest integer, halves to even. Next to 1.5 * 2^23 numbers are whole, and the last bits
/// of them count.
#[inline(always)]
fn integer(value: f32) -> u16 {
    (value + 1.5 * (1 << 23) as f32).to_bits() as u16
}

/// Zero's is zero.
fn inverses(steps: &[f32]) -> Vec<f32> {
    steps.iter().map(|&steps| if steps > 0.0 { 1.0 / steps } else { 0.0 }).collect()
}
