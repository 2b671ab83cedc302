//! The kernels in bf16 against f64, on CPUs with AVX512_BF16; products by tiles on any.
#![cfg(all(feature = "native", target_arch = "x86_64"))]

use convolve::convolve;
use ec2train::kernels::amx::split::{
    Matrix, PairRows, PairedRows, STEP_DEPTH, SplitMatrix, Spread, TILE,
};
use ec2train::kernels::amx::{Amx, Ends, Pixels};
use ec2train::kernels::arithmetic::{Arithmetic, F32Products, bf16_bits};
use ec2train::kernels::bf16::Bf16;
use ec2train::kernels::gemm::{Contiguous, Epilogue};
use ec2train::kernels::pairs::Pair;
use ec2train::kernels::pool::{average_pool, max_pool};
use ec2train::kernels::winograd::{Scratch, Winograd};
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use relative_error::relative_error;
use weight_rows::{columns, rows};

#[path = "common/convolve.rs"]
mod convolve;
#[path = "common/relative_error.rs"]
mod relative_error;
#[path = "common/weight_rows.rs"]
mod weight_rows;

/// A bf16 is within this part of the number it was rounded from.
const ROUNDING: f64 = 1.0 / 256.0;

fn bf16() -> Option<Bf16> {
    let bf16 = Bf16::detect();
    if bf16.is_none() {
        eprintln!("SKIPPED, nothing checked: this CPU has no AVX512_BF16");
    }
    bf16
}

/// `len` values in [-1, 1) that bf16 holds exactly.
fn values(seed: u64, len: usize) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..len).map(|_| f32::from(rng.random_range(-128..128i16)) / 128.0).collect()
}

fn to_pairs(values: &[f32]) -> Vec<Pair> {
    let (pairs, _) = values.as_chunks::<2>();
    pairs
        .iter()
        .map(|[first, second]| first.to_bits() >> 16 | second.to_bits() & 0xffff_0000)
        .collect()
}

fn from_pairs(pairs: &[Pair]) -> Vec<f32> {
    pairs.iter().flat_map(|&pair| [pair << 16, pair & 0xffff_0000].map(f32::from_bits)).collect()
}

#[track_caller]
fn assert_rounded(found: f32, expected: f64, sums: f64) {
    let difference = (f64::from(found) - expected).abs();
    let tolerance = ROUNDING * expected.abs() + sums;
    assert!(difference <= tolerance, "{found}, not {expected}");
}

/// A product of random numbers.
#[derive(Debug, Clone, Copy)]
struct Case {
    seed: u64,
    num_rows: usize,
    depth: usize,
    num_outputs: usize,
    /// Pairs between two rows, of the input and of the output.
    gap: usize,
    has_bias: bool,
    add: bool,
    relu: bool,
}

impl Case {
    fn row_len(self) -> usize {
        self.depth + 2 * self.gap
    }

    fn out_len(self) -> usize {
        self.num_outputs + 2 * self.gap
    }

    fn rows(self) -> Vec<f32> {
        values(self.seed, self.num_rows * self.row_len())
    }

    fn weights(self) -> Vec<f32> {
        values(self.seed ^ 1, self.depth * self.num_outputs)
    }

    fn bias(self) -> Vec<f32> {
        values(self.seed ^ 2, if self.has_bias { self.num_outputs } else { 0 })
    }

    fn before(self) -> Vec<f32> {
        values(self.seed ^ 3, self.num_rows * self.out_len())
    }

    /// What adding up in f32 costs.
    fn tolerance(self) -> f64 {
        f64::from(f32::EPSILON) * (self.depth * self.depth) as f64
    }

    /// Of the plain product, `[rows, outputs]`.
    fn sums(self) -> Vec<f64> {
        let (rows, weights) = (self.rows(), self.weights());
        let sum = |index: usize| {
            let (row, output) = (index / self.num_outputs, index % self.num_outputs);
            let row = &rows[row * self.row_len()..][..self.depth];
            let terms = row.iter().enumerate().map(|(d, &value)| {
                f64::from(value) * f64::from(weights[d * self.num_outputs + output])
            });
            terms.sum()
        };
        (0..self.num_rows * self.num_outputs).map(sum).collect()
    }

    fn pack<A: Arithmetic>(self, arithmetic: A) -> A::Weights {
        let weights = self.weights();
        arithmetic.pack(1, self.depth, self.num_outputs, columns(&weights, self.num_outputs))
    }

    /// Fails unless `arithmetic` rounds the sums of f64, and once.
    fn check(self, arithmetic: impl Arithmetic<Value = Pair>) {
        let pairs = to_pairs(&self.rows());
        let inputs = Contiguous { values: &pairs, row_len: self.row_len() / 2 };
        let (bias, before, sums) = (self.bias(), self.before(), self.sums());
        let mut out = to_pairs(&before);
        let epilogue = Epilogue { bias: &bias, add: self.add, relu: self.relu };
        arithmetic.multiply(&inputs, &self.pack(arithmetic), epilogue, &mut out);
        for (index, &found) in from_pairs(&out).iter().enumerate() {
            let (row, output) = (index / self.out_len(), index % self.out_len());
            if output >= self.num_outputs {
                assert_eq!(found, before[index], "a gap was written to");
                continue;
            }
            let mut expected = sums[row * self.num_outputs + output];
            expected += f64::from(bias.get(output).copied().unwrap_or_default());
            expected += if self.add { f64::from(before[index]) } else { 0.0 };
            let expected = if self.relu { expected.max(0.0) } else { expected };
            assert_rounded(found, expected, self.tolerance());
        }
    }
}

prop_compose! {
    fn cases()(
        seed in any::<u64>(),
        num_rows in 1..80usize,
        num_pairs in 1..150usize,
        num_panels in 1..4usize,
        gap in 0..3usize,
        has_bias in any::<bool>(),
        add in any::<bool>(),
        relu in any::<bool>(),
    ) -> Case {
        let (depth, num_outputs) = (2 * num_pairs, 32 * num_panels);
        Case { seed, num_rows, depth, num_outputs, gap, has_bias, add, relu }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn products_are_those_of_f64_rounded_once(case in cases()) {
        let Some(bf16) = bf16() else { return Ok(()) };
        case.check(bf16);
        let pairs = to_pairs(&case.rows());
        let inputs = Contiguous { values: &pairs, row_len: case.row_len() / 2 };
        let mut sums = vec![f32::NAN; case.num_rows * case.num_outputs];
        bf16.multiply_to_f32(&inputs, &case.pack(bf16), &mut sums);
        for (sum, product) in sums.into_iter().zip(case.sums()) {
            prop_assert!((f64::from(sum) - product).abs() <= case.tolerance(), "{sum}, not {product}");
        }
    }

    #[test]
    fn products_by_tiles_are_those_of_f64_rounded_once(case in cases()) {
        // Rows are read in steps of 16 pairs.
        let case = Case { depth: case.depth.next_multiple_of(32), ..case };
        case.check(Amx::imitation());
        if let Some(amx) = Amx::detect() {
            case.check(amx);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn rows_in_two_places_have_the_bits_of_whole_ones(
        case in cases(),
        num_steps in 1..6usize,
        steps_per_end in 1..6usize,
    ) {
        let (begin_len, len) = (16 * num_steps, 16 * steps_per_end);
        let case = Case { depth: 2 * (begin_len + len), ..case };
        let (pairs, row_len) = (to_pairs(&case.rows()), case.row_len() / 2);
        // A pair that belongs to no row is between two of them.
        let part = |range: std::ops::Range<usize>| -> Vec<Pair> {
            let rows = pairs.chunks(row_len);
            rows.flat_map(|row| row[range.clone()].iter().copied().chain([0x7fc0])).collect()
        };
        let (begins, ends) = (part(0..begin_len), part(begin_len..begin_len + len));
        let begins = Contiguous { values: &begins, row_len: begin_len + 1 };
        let ends = Ends { rows: Contiguous { values: &ends, row_len: len + 1 }, len };
        let bias = case.bias();
        let epilogue = Epilogue { bias: &bias, add: case.add, relu: case.relu };
        for amx in [Some(Amx::imitation()), Amx::detect()].into_iter().flatten() {
            let weights = case.pack(amx);
            let mut whole = to_pairs(&case.before());
            let mut joined = whole.clone();
            amx.multiply(&Contiguous { values: &pairs, row_len }, &weights, epilogue, &mut whole);
            amx.multiply_with_ends(&begins, ends, &weights, epilogue, &mut joined);
            prop_assert_eq!(joined, whole);
        }
    }
}

#[test]
fn tiles_of_the_cpu_give_the_bits_of_imitated_ones() {
    let Some(amx) = Amx::detect() else {
        eprintln!("SKIPPED, nothing checked: this CPU has no AMX");
        return;
    };
    let case = Case {
        seed: 7,
        num_rows: 83,
        depth: 320,
        num_outputs: 96,
        gap: 1,
        has_bias: true,
        add: true,
        relu: true,
    };
    let pairs = to_pairs(&case.rows());
    let inputs = Contiguous { values: &pairs, row_len: case.row_len() / 2 };
    let bias = case.bias();
    let product = |amx: Amx| {
        let mut out = to_pairs(&case.before());
        let epilogue = Epilogue { bias: &bias, add: case.add, relu: case.relu };
        amx.multiply(&inputs, &case.pack(amx), epilogue, &mut out);
        out
    };
    assert_eq!(product(amx), product(Amx::imitation()));
}

#[test]
fn rows_go_where_their_pixels_lie() {
    let amx = Amx::imitation();
    let (num_rows, depth, num_outputs) = (40, 32, 32);
    let rows = to_pairs(&values(8, num_rows * depth));
    let weights = values(9, depth * num_outputs);
    let packed = amx.pack(1, depth, num_outputs, columns(&weights, num_outputs));
    let inputs = Contiguous { values: &rows, row_len: depth / 2 };
    let epilogue = Epilogue { bias: &[], add: false, relu: false };
    let mut in_order = vec![0; num_rows * num_outputs / 2];
    amx.multiply(&inputs, &packed, epilogue, &mut in_order);
    // Seven images of six pixels, the first of which is left out: backwards, with a gap between two images.
    let places: Vec<u32> = (0..6).rev().map(|pixel| pixel * 16).collect();
    let (image_stride, skipped) = (7 * 16, 1);
    let mut out = vec![u32::MAX; 7 * image_stride];
    let pixels = Pixels { places: &places, image_stride, skipped };
    amx.multiply_to(&inputs, &packed, epilogue, &pixels, &mut out);
    for (row, expected) in in_order.chunks_exact(16).enumerate() {
        let pixel = skipped + row;
        let place = pixel / 6 * image_stride + places[pixel % 6] as usize;
        assert_eq!(&out[place..place + 16], expected, "row {row}");
        out[place..place + 16].fill(u32::MAX);
    }
    assert!(out.iter().all(|&pair| pair == u32::MAX), "something else was written to");
}

#[test]
fn a_row_alone_gives_the_same_bits() {
    let Some(bf16) = bf16() else { return };
    let (depth, num_outputs) = (64, 64);
    let rows = to_pairs(&values(1, 41 * depth));
    let weights = values(2, depth * num_outputs);
    let packed = bf16.pack(1, depth, num_outputs, columns(&weights, num_outputs));
    let product = |values: &[Pair]| {
        let mut out = vec![0; values.len() / (depth / 2) * num_outputs / 2];
        let epilogue = Epilogue { bias: &[], add: false, relu: false };
        bf16.multiply(&Contiguous { values, row_len: depth / 2 }, &packed, epilogue, &mut out);
        out
    };
    let alone: Vec<Pair> = rows.chunks_exact(depth / 2).flat_map(product).collect();
    assert_eq!(product(&rows), alone);
}

#[test]
fn winograd_is_a_convolution_as_far_as_bf16_holds_its_points() {
    let Some(bf16) = bf16() else { return };
    let (num_images, side, channels) = (2, 7, 64);
    let input = values(3, num_images * side * side * channels);
    let weight = values(4, channels * channels * 9);
    let bias = values(5, channels);
    let winograd = Winograd::new(bf16, channels, channels, rows(&weight), &bias);
    let mut out = vec![0; num_images * side * side * channels / 2];
    winograd.forward(&to_pairs(&input), side, &mut Scratch::default(), &mut out);
    let expected = convolve(&input, num_images, side, channels, &weight, &bias);
    let relative = relative_error(&from_pairs(&out), &expected);
    assert!(relative < 0.02, "the root mean square error is {relative} of the output's");
}

#[test]
fn vectors_are_rounded_as_numbers_are() {
    let Some(bf16) = bf16() else { return };
    let mut rng = ChaCha8Rng::seed_from_u64(6);
    for num_pairs in [1, 7, 8, 9, 345] {
        // With halves between two bf16 among them.
        let bits = |_| rng.random::<u32>() & if num_pairs == 8 { 0xbfff_8000 } else { 0xbfff_ffff };
        let values: Vec<f32> = (0..2 * num_pairs).map(bits).map(f32::from_bits).collect();
        let values: Vec<f32> =
            values.iter().map(|v| if v.is_normal() { *v } else { 0.0 }).collect();
        let mut pairs = vec![0; num_pairs];
        bf16.round(&values, &mut pairs);
        let expected: Vec<u16> = values.iter().copied().map(bf16_bits).collect();
        let found: Vec<u16> = pairs.iter().flat_map(|&p| [p as u16, (p >> 16) as u16]).collect();
        assert_eq!(found, expected);
    }
}

#[test]
fn pooling_keeps_every_channel_in_its_place() {
    let Some(bf16) = bf16() else { return };
    let isa = bf16.isa();
    // Five lines of four pixels of 32 channels.
    let value = |pixel: usize, channel: usize| (pixel * 8 + channel % 8) as f32;
    let mut lines = vec![0.0; 5 * 4 * 32];
    for (pixel, values) in lines.chunks_exact_mut(32).enumerate().skip(4) {
        for (channel, out) in values.iter_mut().enumerate() {
            *out = value(pixel - 4, channel);
        }
    }
    let mut pooled = vec![0; 4 * 16];
    max_pool(isa, &to_pairs(&lines), 4, 16, &mut pooled);
    let found = from_pairs(&pooled);
    for (index, largest) in [5, 7, 13, 15].into_iter().enumerate() {
        let expected: Vec<f32> = (0..32).map(|channel| value(largest, channel)).collect();
        assert_eq!(found[index * 32..][..32], expected);
    }
    let mut mean = vec![f32::NAN; 32];
    average_pool(isa, &pooled, 16, &mut mean);
    let expected: Vec<f32> = (0..32).map(|channel| value(10, channel)).collect();
    assert_eq!(mean, expected);
}

/// `[num_rows, num_columns]` in [-1, 1), between numbers that mean nothing.
fn f32s(seed: u64, num_rows: usize, num_columns: usize) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut values = Vec::new();
    for _ in 0..num_rows {
        values.extend((0..num_columns).map(|_| rng.random_range(-1.0..1.0f32)));
        values.extend([f32::NAN; 3]);
    }
    values.truncate(values.len() - 3);
    values
}

fn matrix(values: &[f32], num_rows: usize, num_columns: usize) -> Matrix<'_> {
    Matrix { values, num_rows, num_columns, stride: num_columns + 3 }
}

#[test]
fn columns_of_a_tile_become_rows() {
    let tile = std::array::from_fn(|place| place as f32);
    for amx in [Some(Amx::imitation()), Amx::detect()].into_iter().flatten() {
        for (num_columns, num_numbers, stride) in [(16, 16, 16), (16, 8, 32), (5, 3, 7), (0, 9, 9)]
        {
            let mut out = vec![-1.0; 16 * stride];
            amx.transpose(&tile, &mut out, stride, num_columns, num_numbers);
            for (row, out) in out.chunks_exact(stride).enumerate() {
                for (place, &found) in out.iter().enumerate() {
                    let is_written = row < num_columns && place < num_numbers;
                    let expected = if is_written { tile[place * TILE + row] } else { -1.0 };
                    assert_eq!(found, expected);
                }
            }
        }
    }
}

/// `[num_rows, num_columns]` bf16 in [-1, 1) as they are and in pairs, filled up with zeros to `[padded_rows, stride]`.
fn bf16s(num_rows: usize, num_columns: usize) -> (Vec<f32>, Vec<u32>) {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let stride = num_columns.next_multiple_of(STEP_DEPTH);
    let mut values = vec![0.0; num_rows.next_multiple_of(STEP_DEPTH) * stride];
    for row in values.chunks_exact_mut(stride).take(num_rows) {
        for value in &mut row[..num_columns] {
            *value = f32::from_bits(rng.random_range(-1.0..1.0f32).to_bits() & 0xffff_0000);
        }
    }
    let mut pairs = vec![0; values.len() / 2];
    Amx::imitation().round(&values, &mut pairs);
    (values, pairs)
}

#[test]
fn products_of_bf16_with_f32_by_tiles_are_those_of_f64_to_16_bits() {
    let sizes = [(1, 3, 1), (1, 133, 40), (96, 17, 128), (33, 133, 31), (56, 3, 97), (70, 65, 64)];
    for (num_rows, num_columns, depth) in sizes {
        let (rows, pairs) = bf16s(num_rows, depth);
        let row_len = depth.next_multiple_of(STEP_DEPTH);
        let padded_rows = num_rows.next_multiple_of(STEP_DEPTH);
        let left = PairRows {
            values: &pairs,
            num_rows: padded_rows,
            num_pairs: row_len / 2,
            stride: row_len / 2,
        };
        let columns = f32s(8, depth, num_columns);
        let columns = matrix(&columns, depth, num_columns);
        let gradients = f32s(9, num_rows, num_columns);
        let gradients = matrix(&gradients, num_rows, num_columns);
        let products = [Some(Amx::imitation()), Amx::detect()].into_iter().flatten().map(|amx| {
            let mut right = SplitMatrix::default();
            right.resize(num_columns, depth);
            // In two parts.
            let first = TILE.min(num_columns);
            amx.split_columns(Matrix { num_columns: first, ..columns }, &mut right, 0);
            let values = &columns.values[first..];
            let rest = Matrix { values, num_columns: num_columns - first, ..columns };
            amx.split_columns(rest, &mut right, first.next_multiple_of(TILE));
            let stride = num_columns.next_multiple_of(TILE);
            let mut sums = vec![1.0; padded_rows * stride];
            let spread = Spread { left: TILE * stride, right: TILE, row: stride };
            amx.multiply_rows(left, &right, &mut sums, spread, &[1; 100]);
            let mut found = Vec::new();
            for row in sums.chunks_exact(stride).take(num_rows) {
                found.extend_from_slice(&row[..num_columns]);
                assert!(row[num_columns..].iter().all(|&sum| sum == 1.0), "no zeros fill it up");
            }
            for (row, found) in found.chunks_exact(num_columns).enumerate() {
                for (column, &found) in found.iter().enumerate() {
                    assert_near(found, depth, |place| {
                        let right = columns.values[place * columns.stride + column];
                        (rows[row * row_len + place], right)
                    });
                }
            }
            // The gradient, transposed, by tiles.
            let (mut of_gradients, mut paired) = (SplitMatrix::default(), PairedRows::default());
            amx.split_transposed(gradients, &mut of_gradients);
            amx.pair_rows(left, &mut paired);
            let mut of_tiles = vec![1.0; stride * row_len];
            let spread = Spread { left: TILE * TILE, right: TILE * stride, row: TILE };
            amx.multiply_paired(&of_gradients, &paired, &mut of_tiles, spread, Some(&right), &[]);
            let transposed = of_tiles_to_rows(&of_tiles, num_columns, depth);
            for (column, found) in transposed.chunks_exact(depth).enumerate() {
                for (place, &found) in found.iter().enumerate() {
                    assert_near(found, num_rows, |row| {
                        let left = gradients.values[row * gradients.stride + column];
                        (left, rows[row * row_len + place])
                    });
                }
            }
            (found, transposed)
        });
        let products: Vec<_> = products.collect();
        assert!(products.iter().all(|product| *product == products[0]), "not the same bits");
    }
}

/// One and the products of as many numbers.
fn assert_near(found: f32, num_products: usize, numbers: impl Fn(usize) -> (f32, f32)) {
    let (mut sum, mut size) = (1.0, 1.0);
    for index in 0..num_products {
        let (a, b) = numbers(index);
        let product = f64::from(a) * f64::from(b);
        (sum, size) = (sum + product, size + product.abs());
    }
    assert!((f64::from(found) - sum).abs() <= size / 65536.0, "{found}, not {sum}");
}

/// Rows of a product of which 16 by 16 sums lie side by side, column by column.
fn of_tiles_to_rows(sums: &[f32], num_rows: usize, num_columns: usize) -> Vec<f32> {
    let height = num_rows.next_multiple_of(TILE);
    let place = |row: usize, column: usize| {
        let tile = column / TILE * height + row / TILE * TILE;
        tile * TILE + row % TILE * TILE + column % TILE
    };
    let rows = 0..num_rows;
    rows.flat_map(|row| (0..num_columns).map(move |column| sums[place(row, column)])).collect()
}
