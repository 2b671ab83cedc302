//! 3x3 convolutions with a quarter of the multiplications (Winograd 1980, Lavin and Gray 2015).
//!
//! An output tile of 4x4 pixels takes 36 multiplications per pair of channels in place of 144. The
//! input tile of 6x6 pixels, the weights and the sums are polynomials that are known by their
//! values at six points; products are taken value by value, as one matrix product for each of the
//! 36 pairs of points.

mod transform;
mod weights;

use super::aligned::Aligned;
use super::arithmetic::{F32Products, Value};
use super::fetch::{LINE_LEN, fetch};
use super::gemm::Contiguous;
use super::panels::{OUTPUTS, Panels};
use transform::{Grid, TransformInput, TransformOutput};
use weights::{TAPS, TransformWeights};

/// Side of an output tile.
const TILE: usize = 4;
/// Side of an input tile: the number of points.
const POINTS: usize = TILE + 2;
/// The points are 0, `A`, `-A`, `B`, `-B` and infinity. The usual 1 and 2 have almost three times the
/// rounding error, as measured on 256 channels.
const A: f64 = std::f64::consts::FRAC_1_SQRT_2;
const B: f64 = std::f64::consts::SQRT_2;
/// The points' squares.
const A2: f64 = 0.5;
const B2: f64 = 2.0;
/// Bytes of transformed tiles that are multiplied before the next are transformed, where the
/// weights are small: they stay in the L2 cache.
const TILES_BYTES: usize = 256 << 10;

/// The weights of a 3x3 convolution with stride 1 and a pixel of padding.
#[derive(Debug, Clone)]
pub struct Winograd<A: F32Products> {
    arithmetic: A,
    /// For each pair of points, `[in, out]`, outputs in the order of [`Value::channel`].
    weights: Vec<A::Weights>,
    /// `[out]` f32, in the same order.
    bias: Vec<f32>,
    in_channels: usize,
    out_channels: usize,
}

/// Buffers that are reused from call to call.
#[derive(Debug, Default)]
pub struct Scratch<V> {
    /// `[36, tiles, in]`
    inputs: Aligned<V>,
    /// `[36, tiles, out]` f32.
    sums: Aligned<f32>,
}

impl<A: F32Products> Winograd<A> {
    /// Transforms the weights. `row` writes those of an output, `[in, 3, 3]` f32. `bias` is `[out]` f32.
    pub fn new(
        arithmetic: A,
        in_channels: usize,
        out_channels: usize,
        mut row: impl FnMut(usize, &mut [f32]),
        bias: &[f32],
    ) -> Self {
        let lanes = arithmetic.isa().lanes();
        let output = |place| A::Value::channel(place, lanes);
        let empty = || arithmetic.with_capacity(1, in_channels, out_channels);
        let mut weights: Vec<_> = (0..POINTS * POINTS).map(|_| empty()).collect();
        let mut planes = vec![[0.0; OUTPUTS]; POINTS * in_channels];
        Panels::default().for_each(
            arithmetic.isa(),
            in_channels * TAPS,
            out_channels,
            |place, weights| row(output(place), weights),
            |kernels| {
                for (point, weights) in weights.chunks_exact_mut(POINTS).enumerate() {
                    let planes = &mut planes[..];
                    arithmetic.isa().run(TransformWeights { point, kernels, planes });
                    for (plane, weights) in planes.chunks_exact(in_channels).zip(weights) {
                        arithmetic.push_panel(plane, weights);
                    }
                }
            },
        );
        let bias = (0..out_channels).map(|place| bias[output(place)]).collect();
        Winograd { arithmetic, weights, bias, in_channels, out_channels }
    }

    /// Convolves `input`, `[N, side, side, in]`, adds the bias, replaces negative values by zero and
    /// writes `[N, side, side, out]`.
    pub fn forward(
        &self,
        input: &[A::Value],
        side: usize,
        scratch: &mut Scratch<A::Value>,
        out: &mut [A::Value],
    ) {
        let isa = self.arithmetic.isa();
        let tiles_per_side = side.div_ceil(TILE);
        let in_len = self.in_channels / A::Value::CHANNELS;
        let num_images = input.len() / (side * side * in_len);
        let num_tiles = num_images * tiles_per_side * tiles_per_side;
        let bytes_per_tile = 4 * POINTS * POINTS * (self.in_channels + self.out_channels);
        // All weights are read once for each block, so blocks must not be smaller than they are.
        let max_len = (TILES_BYTES / bytes_per_tile).max(self.in_channels / 2);
        // The last block is about as long as the others: short products take longer for a tile.
        let num_blocks = num_tiles.div_ceil(max_len).max(1);
        let block_len = num_tiles.div_ceil(num_blocks).max(1);
        // Planes that lie outside of the L2 cache.
        let is_large = block_len * bytes_per_tile > TILES_BYTES;

        let grid = Grid { side, tiles_per_side };
        for first in (0..num_tiles).step_by(block_len) {
            let tiles = first..num_tiles.min(first + block_len);
            let num_inputs = tiles.len() * in_len;
            let num_sums = tiles.len() * self.out_channels;
            let inputs = scratch.inputs.resized(POINTS * POINTS * (num_inputs + PADDING));
            isa.run(TransformInput {
                grid,
                tiles: tiles.clone(),
                pixel_len: in_len,
                input,
                out: inputs,
            });
            let sums = scratch.sums.resized(POINTS * POINTS * (num_sums + PADDING));
            let planes = inputs.chunks_exact(num_inputs + PADDING);
            let sum_planes = sums.chunks_exact_mut(num_sums + PADDING);
            for ((weights, plane), sums) in self.weights.iter().zip(planes).zip(sum_planes) {
                let rows = Contiguous { values: &plane[..num_inputs], row_len: in_len };
                if is_large {
                    fetch(rows.values);
                    fetch(sums);
                }
                self.arithmetic.multiply_to_f32(&rows, weights, &mut sums[..num_sums]);
            }
            isa.run(TransformOutput { grid, tiles, sums, bias: &self.bias, out });
        }
    }
}

/// Values between the planes of two pairs of points: a cache line, so that values at one place
/// of all planes do not compete for the same few lines of the cache.
const PADDING: usize = LINE_LEN;
