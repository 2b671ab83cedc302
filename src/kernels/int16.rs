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
use super::pairs::{PackedPairs, Pair, join, join_channels};
use super::panels::OUTPUTS;
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

    fn with_capacity(
        self,
        num_segments: usize,
        segment_len: usize,
        num_outputs: usize,
    ) -> ScaledWeights {
        assert!(num_segments * segment_len <= MAX_DEPTH, "sums of more products may overflow");
        let row_len = num_segments * segment_len.div_ceil(2);
        let integers = PackedPairs::with_capacity(1, row_len, num_outputs);
        ScaledWeights { integers, scales: Vec::with_capacity(num_outputs), segment_len }
    }

    fn push_panel(self, panel: &[[f32; OUTPUTS]], weights: &mut ScaledWeights) {
        let ScaledWeights { integers, scales, segment_len } = weights;
        let num_pairs = panel.len() / *segment_len * segment_len.div_ceil(2);
        assert_eq!(num_pairs, integers.segment_len, "the panel's depth is not the weights'");
        let mut steps = [0.0; OUTPUTS];
        self.isa.run(RoundPanel {
            weights: panel,
            segment_len: *segment_len,
            steps: &mut steps,
            panel: integers.append_panel(),
        });
        scales.extend(steps.map(|steps| if steps > 0.0 { 1.0 / steps } else { 0.0 }));
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

/// Rounds the weights of a panel.
struct RoundPanel<'a> {
    /// `[segments, segment_len, 32]`
    weights: &'a [[f32; OUTPUTS]],
    segment_len: usize,
    /// How many 1 is rounded to.
    steps: &'a mut [f32; OUTPUTS],
    /// `[segments, pairs of a segment, 32]`
    panel: &'a mut [[Pair; OUTPUTS]],
}

impl Kernel for RoundPanel<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, _simd: S) {
        let steps = steps(self.weights);
        *self.steps = steps;
        let segments = self.weights.chunks_exact(self.segment_len);
        join_channels(
            segments.zip(self.panel.chunks_exact_mut(self.segment_len.div_ceil(2))),
            #[inline(always)]
            |output, first, second| {
                join(integer(first * steps[output]), integer(second * steps[output]))
            },
        );
    }
}

/// How many steps 1 is rounded to, for each output of `[depth, 32]`. Weights of zero have none.
#[inline(always)]
fn steps(weights: &[[f32; OUTPUTS]]) -> [f32; OUTPUTS] {
    let (mut squares, mut largest) = ([0.0f32; OUTPUTS], [0.0f32; OUTPUTS]);
    for weights in weights {
        for output in 0..OUTPUTS {
            squares[output] += weights[output] * weights[output];
            largest[output] = largest[output].max(weights[output].abs());
        }
    }
    let mut steps = [0.0; OUTPUTS];
    for output in 0..OUTPUTS {
        if squares[output] > 0.0 {
            steps[output] =
                (WEIGHTS_NORM / squares[output].sqrt()).min(MAX_WEIGHT / largest[output]);
        }
    }
    steps
}

/// The bits of the nearest integer, halves to even. Next to 1.5 * 2^23 numbers are whole, and the last bits
/// of them count.
#[inline(always)]
fn integer(value: f32) -> u16 {
    (value + 1.5 * (1 << 23) as f32).to_bits() as u16
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn weights_are_rounded_output_by_output_and_lie_in_pairs(
            seed in 0..1000usize,
            num_segments in 1..5usize,
            segment_len in 1..40usize,
            num_panels in 1..4usize,
        ) {
            let Some(int16) = Int16::detect() else {
                eprintln!("SKIPPED, nothing checked: this CPU has no AVX512_VNNI");
                return Ok(());
            };
            let num_outputs = num_panels * OUTPUTS;
            let weight = |output: usize, place: usize| {
                ((seed + 31 * output + 17 * place) * 37 % 101) as f32 - 50.0
            };
            let packed = int16.pack(num_segments, segment_len, num_outputs, |output, row| {
                for (place, value) in row.iter_mut().enumerate() {
                    *value = weight(output, place);
                }
            });
            let num_pairs = segment_len.div_ceil(2);
            prop_assert_eq!(packed.scales.len(), num_outputs);
            prop_assert_eq!(packed.integers.values.len(), num_segments * num_pairs * num_outputs);
            let mut pairs = packed.integers.values.iter();
            for panel in 0..num_panels {
                for line in 0..num_segments * num_pairs {
                    let (segment, first) = (line / num_pairs, line % num_pairs * 2);
                    for output in panel * OUTPUTS..(panel + 1) * OUTPUTS {
                        let pair = pairs.next().copied().unwrap();
                        let scale = packed.scales[output];
                        for (channel, bits) in [(first, pair), (first + 1, pair >> 16)] {
                            let found = f32::from(bits as i16) * scale;
                            if channel == segment_len {
                                prop_assert_eq!(found, 0.0);
                                continue;
                            }
                            let expected = weight(output, segment * segment_len + channel);
                            // Half of a step, and the last bits of f32 in 32,700 of them.
                            let is_nearest = (found - expected).abs() <= 0.51 * scale;
                            prop_assert!(is_nearest, "{found}, not {expected}");
                        }
                    }
                }
            }
        }
    }
}
