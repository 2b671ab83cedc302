//! 3x3 convolutions with a quarter of the multiplications (Winograd 1980, Lavin and Gray 2015).
//!
//! An output tile of 4x4 pixels takes 36 multiplications per pair of channels in place of 144. The
//! input tile of 6x6 pixels, the weights and the sums are polynomials that are known by their
//! values at six points; products are taken value by value, as one matrix product for each of the
//! 36 pairs of points.

use std::ops::Range;

use pulp::Simd;

use super::arithmetic::{Arithmetic, MAX_PARTS, Value};
use super::fetch::fetch;
use super::gemm::Contiguous;
use super::isa::Kernel;

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
pub struct Winograd<A: Arithmetic> {
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
    inputs: Vec<V>,
    /// `[36, tiles, out]` f32.
    sums: Vec<f32>,
}

impl<A: Arithmetic> Winograd<A> {
    /// Transforms `weight`, `[out, in, 3, 3]` f32. `bias` is `[out]` f32.
    pub fn new(
        arithmetic: A,
        in_channels: usize,
        out_channels: usize,
        weight: &[f32],
        bias: &[f32],
    ) -> Self {
        let lanes = arithmetic.isa().lanes();
        let rows = weight_rows();
        let weights = (0..POINTS * POINTS)
            .map(|point| {
                let (row, column) = (rows[point / POINTS], rows[point % POINTS]);
                arithmetic.pack(1, in_channels, out_channels, |input, place| {
                    let output = A::Value::channel(place, lanes);
                    let kernel = &weight[(output * in_channels + input) * 9..][..9];
                    let mut value = 0.0;
                    for (y, row) in row.iter().enumerate() {
                        for (x, column) in column.iter().enumerate() {
                            value += row * column * f64::from(kernel[3 * y + x]);
                        }
                    }
                    value as f32
                })
            })
            .collect();
        let bias = (0..out_channels).map(|place| bias[A::Value::channel(place, lanes)]).collect();
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
        let block_len = (TILES_BYTES / bytes_per_tile).max(self.in_channels / 2).min(num_tiles);
        // Planes that lie outside of the L2 cache.
        let is_large = block_len * bytes_per_tile > TILES_BYTES;

        let grid = Grid { side, tiles_per_side };
        for first in (0..num_tiles).step_by(block_len) {
            let tiles = first..num_tiles.min(first + block_len);
            let num_inputs = tiles.len() * in_len;
            let num_sums = tiles.len() * self.out_channels;
            let inputs = prefix(&mut scratch.inputs, POINTS * POINTS * (num_inputs + PADDING));
            isa.run(TransformInput {
                grid,
                tiles: tiles.clone(),
                pixel_len: in_len,
                input,
                out: inputs,
            });
            let sums = prefix(&mut scratch.sums, POINTS * POINTS * (num_sums + PADDING));
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
const PADDING: usize = 16;

/// The first `len` values of a buffer that only grows.
fn prefix<V: Value>(values: &mut Vec<V>, len: usize) -> &mut [V] {
    if values.len() < len {
        values.resize(len, V::default());
    }
    &mut values[..len]
}

/// Where tiles lie in a batch of square images.
#[derive(Debug, Clone, Copy)]
struct Grid {
    side: usize,
    tiles_per_side: usize,
}

impl Grid {
    /// Image, row and column of a tile's first output pixel.
    #[inline(always)]
    fn origin(self, tile: usize) -> (usize, usize, usize) {
        let (line, column) = (tile / self.tiles_per_side, tile % self.tiles_per_side);
        (line / self.tiles_per_side, line % self.tiles_per_side * TILE, column * TILE)
    }
}

struct TransformInput<'a, V> {
    grid: Grid,
    tiles: Range<usize>,
    /// Values of a pixel.
    pixel_len: usize,
    /// `[N, side, side, C]`
    input: &'a [V],
    /// `[36, tiles, C]`
    out: &'a mut [V],
}

impl<V: Value> Kernel for TransformInput<'_, V> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let side = self.grid.side;
        let num_vectors = self.pixel_len / S::F32_LANES;
        let input = V::vectors::<S>(self.input);
        let out = V::vectors_mut::<S>(self.out);
        let plane_len = self.tiles.len() * num_vectors + PADDING / S::F32_LANES;
        let zero = simd.splat_f32s(0.0);
        for (index, tile) in self.tiles.enumerate() {
            let (image, y, x) = self.grid.origin(tile);
            // The tile begins a pixel above and left of its output. Outside the image it is empty.
            let mut pixels: [[&[V::Vector<S>]; POINTS]; POINTS] = [[&[]; POINTS]; POINTS];
            for i in 0..POINTS {
                for j in 0..POINTS {
                    let (row, column) = ((y + i).wrapping_sub(1), (x + j).wrapping_sub(1));
                    if row < side && column < side {
                        let first = ((image * side + row) * side + column) * num_vectors;
                        pixels[i][j] = &input[first..first + num_vectors];
                    }
                }
            }
            for vector in 0..num_vectors {
                let columns = parts::<V, _>(
                    #[inline(always)]
                    |part| {
                        at_points(
                            #[inline(always)]
                            |j| {
                                let column = at_points(
                                    #[inline(always)]
                                    |i| match pixels[i][j].get(vector) {
                                        Some(&pixel) => V::part(simd, pixel, part),
                                        None => zero,
                                    },
                                );
                                input_values(simd, column)
                            },
                        )
                    },
                );
                for i in 0..POINTS {
                    let lines = parts::<V, _>(
                        #[inline(always)]
                        |part| {
                            let line = at_points(
                                #[inline(always)]
                                |j| columns[part][j][i],
                            );
                            input_values(simd, line)
                        },
                    );
                    for j in 0..POINTS {
                        let place = (i * POINTS + j) * plane_len + index * num_vectors + vector;
                        out[place] = V::join(simd, [lines[0][j], lines[1][j]]);
                    }
                }
            }
        }
    }
}

struct TransformOutput<'a, V> {
    grid: Grid,
    tiles: Range<usize>,
    /// `[36, tiles, C]`, channels in the order of [`Value::channel`].
    sums: &'a [f32],
    /// `[C]`, in the same order.
    bias: &'a [f32],
    /// `[N, side, side, C]`
    out: &'a mut [V],
}

impl<V: Value> Kernel for TransformOutput<'_, V> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let side = self.grid.side;
        let bias = S::as_simd_f32s(self.bias).0;
        let sums = S::as_simd_f32s(self.sums).0;
        let out = V::vectors_mut::<S>(self.out);
        let num_vectors = bias.len() / V::CHANNELS;
        let plane_len = self.tiles.len() * bias.len() + PADDING / S::F32_LANES;
        let zero = simd.splat_f32s(0.0);
        for (index, tile) in self.tiles.enumerate() {
            let (image, y, x) = self.grid.origin(tile);
            for vector in 0..num_vectors {
                let columns = parts::<V, _>(
                    #[inline(always)]
                    |part| {
                        let place = index * bias.len() + vector * V::CHANNELS + part;
                        at_points(
                            #[inline(always)]
                            |j| {
                                let column = at_points(
                                    #[inline(always)]
                                    |i| sums[(i * POINTS + j) * plane_len + place],
                                );
                                output_values(simd, column)
                            },
                        )
                    },
                );
                for i in 0..TILE.min(side - y) {
                    let first = ((image * side + y + i) * side + x) * num_vectors + vector;
                    let lines = parts::<V, _>(
                        #[inline(always)]
                        |part| {
                            let line = at_points(
                                #[inline(always)]
                                |j| columns[part][j][i],
                            );
                            output_values(simd, line)
                        },
                    );
                    for j in 0..TILE {
                        // At the right and lower edge tiles reach beyond the image.
                        if x + j < side {
                            let values = parts::<V, _>(
                                #[inline(always)]
                                |part| {
                                    let bias = bias[vector * V::CHANNELS + part];
                                    simd.max_f32s(simd.add_f32s(lines[part][j], bias), zero)
                                },
                            );
                            out[first + j * num_vectors] = V::join(simd, values);
                        }
                    }
                }
            }
        }
    }
}

/// What the weights of a kernel's line are multiplied with for their value at each point.
fn weight_rows() -> [[f64; 3]; POINTS] {
    let (a2, b2) = (A2, B2);
    let at = |point: f64, scale: f64| [1.0, point, point * point].map(|power| power / scale);
    [
        at(0.0, a2 * b2),
        at(A, 2.0 * a2 * (a2 - b2)),
        at(-A, 2.0 * a2 * (a2 - b2)),
        at(B, 2.0 * b2 * (b2 - a2)),
        at(-B, 2.0 * b2 * (b2 - a2)),
        [0.0, 0.0, 1.0],
    ]
}

/// `f` at the six points, without the zeros that an array to be filled begins with.
#[inline(always)]
fn at_points<T>(f: impl Fn(usize) -> T) -> [T; POINTS] {
    [f(0), f(1), f(2), f(3), f(4), f(5)]
}

/// `f` for each part of a vector of `V`. Where there is one, it comes twice.
#[inline(always)]
fn parts<V: Value, T: Copy>(f: impl Fn(usize) -> T) -> [T; MAX_PARTS] {
    let first = f(0);
    [first, if V::CHANNELS == MAX_PARTS { f(1) } else { first }]
}

/// Values at the six points of six pixels in a line.
#[inline(always)]
fn input_values<S: Simd>(simd: S, d: [S::f32s; POINTS]) -> [S::f32s; POINTS] {
    let (a, b, a2, b2) = (A as f32, B as f32, A2 as f32, B2 as f32);
    let even_a = mul_add(simd, d[2], -b2, d[4]);
    let odd_a = mul_add(simd, d[1], -b2, d[3]);
    let even_b = mul_add(simd, d[2], -a2, d[4]);
    let odd_b = mul_add(simd, d[1], -a2, d[3]);
    [
        mul_add(simd, d[0], a2 * b2, mul_add(simd, d[2], -(a2 + b2), d[4])),
        mul_add(simd, odd_a, a, even_a),
        mul_add(simd, odd_a, -a, even_a),
        mul_add(simd, odd_b, b, even_b),
        mul_add(simd, odd_b, -b, even_b),
        mul_add(simd, d[1], a2 * b2, mul_add(simd, d[3], -(a2 + b2), d[5])),
    ]
}

/// Four pixels in a line from the sums at the six points.
#[inline(always)]
fn output_values<S: Simd>(simd: S, m: [S::f32s; POINTS]) -> [S::f32s; TILE] {
    let (a, b, a2, b2) = (A as f32, B as f32, A2 as f32, B2 as f32);
    let (sum_a, difference_a) = (simd.add_f32s(m[1], m[2]), simd.sub_f32s(m[1], m[2]));
    let (sum_b, difference_b) = (simd.add_f32s(m[3], m[4]), simd.sub_f32s(m[3], m[4]));
    let scaled = simd.mul_f32s(difference_b, simd.splat_f32s(b));
    let scaled_twice = simd.mul_f32s(sum_b, simd.splat_f32s(b2));
    [
        simd.add_f32s(m[0], simd.add_f32s(sum_a, sum_b)),
        mul_add(simd, difference_a, a, scaled),
        mul_add(simd, sum_a, a2, scaled_twice),
        mul_add(simd, difference_a, a * a2, mul_add(simd, difference_b, b * b2, m[5])),
    ]
}

/// `x * factor + y`, rounded once.
#[inline(always)]
fn mul_add<S: Simd>(simd: S, x: S::f32s, factor: f32, y: S::f32s) -> S::f32s {
    simd.mul_add_f32s(x, simd.splat_f32s(factor), y)
}
