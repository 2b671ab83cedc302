//! Tiles of pixels to their values at Winograd's points, sums at the points to pixels.

use std::ops::Range;

use pulp::Simd;

use super::{A, A2, B, B2, PADDING, POINTS, TILE};
use crate::kernels::arithmetic::{MAX_PARTS, Value};
use crate::kernels::isa::Kernel;

/// Where tiles lie in a batch of square images.
#[derive(Debug, Clone, Copy)]
pub(super) struct Grid {
    pub(super) side: usize,
    pub(super) tiles_per_side: usize,
}

impl Grid {
    /// Image, row and column of a tile's first output pixel.
    #[inline(always)]
    fn origin(self, tile: usize) -> (usize, usize, usize) {
        let (line, column) = (tile / self.tiles_per_side, tile % self.tiles_per_side);
        (line / self.tiles_per_side, line % self.tiles_per_side * TILE, column * TILE)
    }
}

pub(super) struct TransformInput<'a, V> {
    pub(super) grid: Grid,
    pub(super) tiles: Range<usize>,
    /// Values of a pixel.
    pub(super) pixel_len: usize,
    /// `[N, side, side, C]`
    pub(super) input: &'a [V],
    /// `[36, tiles, C]`
    pub(super) out: &'a mut [V],
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

pub(super) struct TransformOutput<'a, V> {
    pub(super) grid: Grid,
    pub(super) tiles: Range<usize>,
    /// `[36, tiles, C]`, channels in the order of [`Value::channel`].
    pub(super) sums: &'a [f32],
    /// `[C]`, in the same order.
    pub(super) bias: &'a [f32],
    /// `[N, side, side, C]`
    pub(super) out: &'a mut [V],
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
