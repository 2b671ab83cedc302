//! Products of 16-bit integers against f64, on CPUs with AVX512_VNNI.
#![cfg(all(feature = "native", target_arch = "x86_64"))]

use convolve::convolve;
use ec2train::kernels::arithmetic::Arithmetic;
use ec2train::kernels::gemm::{Contiguous, Epilogue, Rows};
use ec2train::kernels::int16::Int16;
use ec2train::kernels::lines::{Lines, RowsInLines};
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

/// Steps that the norm of a row is rounded to, and the largest weight of an output at most.
const STEPS: f64 = 32_700.0;

fn int16() -> Option<Int16> {
    let int16 = Int16::detect();
    if int16.is_none() {
        eprintln!("SKIPPED, nothing checked: this CPU has no AVX512_VNNI");
    }
    int16
}

/// `len` values in [-1, 1), of which most are small.
fn values(seed: u64, len: usize) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..len).map(|_| rng.random_range(-1.0f32..1.0).powi(3)).collect()
}

/// Rows of several segments that overlap, as those of a convolution do.
struct Overlapping<'a> {
    values: &'a [f32],
    num_rows: usize,
    row_stride: usize,
    segments: &'a [usize],
}

impl Rows<f32> for Overlapping<'_> {
    type Place = usize;

    fn num_rows(&self) -> usize {
        self.num_rows
    }

    fn place(&self, row: usize) -> usize {
        row * self.row_stride
    }

    fn segment(&self, place: usize, segment: usize) -> &[f32] {
        &self.values[place + self.segments[segment]..]
    }
}

impl RowsInLines<f32> for Overlapping<'_> {
    fn lines(&self) -> Lines<'_, f32> {
        Lines {
            values: self.values,
            segments: self.segments,
            row_stride: self.row_stride,
            line_len: self.num_rows,
            line_stride: 0,
            image_len: 1,
            image_stride: 0,
            skipped: 0,
        }
    }
}

/// A product of random numbers.
#[derive(Debug, Clone, Copy)]
struct Case {
    seed: u64,
    num_rows: usize,
    num_segments: usize,
    segment_len: usize,
    num_outputs: usize,
    /// Values between two rows of the output.
    gap: usize,
    has_bias: bool,
    add: bool,
    relu: bool,
}

prop_compose! {
    fn cases()(
        seed in any::<u64>(),
        num_rows in 1..80usize,
        num_segments in 1..=9usize,
        segment_len in 1..150usize,
        num_panels in 1..4usize,
        gap in 0..3usize,
        has_bias in any::<bool>(),
        add in any::<bool>(),
        relu in any::<bool>(),
    ) -> Case {
        let num_outputs = 32 * num_panels;
        Case { seed, num_rows, num_segments, segment_len, num_outputs, gap, has_bias, add, relu }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn products_are_those_of_f64_as_far_as_the_steps_go(case in cases()) {
        let Some(int16) = int16() else { return Ok(()) };
        let Case { seed, num_rows, num_segments, segment_len, num_outputs, .. } = case;
        let row_stride = 1 + segment_len / 2;
        let segments: Vec<usize> =
            (0..num_segments).map(|segment| (num_segments - segment) * segment_len / 3).collect();
        let input = values(seed, num_rows * row_stride + (num_segments + 1) * segment_len);
        let rows = Overlapping { values: &input, num_rows, row_stride, segments: &segments };
        let weights = values(seed ^ 1, num_segments * segment_len * num_outputs);
        let weight = |segment: usize, channel: usize, output: usize| {
            weights[(segment * segment_len + channel) * num_outputs + output]
        };
        let bias = values(seed ^ 2, if case.has_bias { num_outputs } else { 0 });
        let out_len = num_outputs + case.gap;
        let before = values(seed ^ 3, num_rows * out_len);
        let mut out = before.clone();
        let packed = int16.pack(num_segments, segment_len, num_outputs, columns(&weights, num_outputs));
        let epilogue = Epilogue { bias: &bias, add: case.add, relu: case.relu };
        int16.multiply(&rows, &packed, epilogue, &mut out);
        for (index, &found) in out.iter().enumerate() {
            let (row, output) = (index / out_len, index % out_len);
            if output >= num_outputs {
                prop_assert_eq!(found, before[index], "a gap was written to");
                continue;
            }
            let (mut sum, mut row_square, mut square, mut largest) = (0.0, 0.0, 0.0, 0.0f64);
            for segment in 0..num_segments {
                let pixel = &rows.segment(rows.place(row), segment)[..segment_len];
                for (channel, &value) in pixel.iter().enumerate() {
                    let value = f64::from(value);
                    let weight = f64::from(weight(segment, channel, output));
                    sum += value * weight;
                    row_square += value * value;
                    square += weight * weight;
                    largest = largest.max(weight.abs());
                }
            }
            // Each value is half of a step off at most.
            let root = ((num_segments * segment_len) as f64).sqrt();
            let row_error = 0.5 * root * row_square.sqrt() / STEPS;
            let weights_error = 0.5 * root * (square.sqrt() / (2.0 * STEPS)).max(largest / STEPS);
            let rounding = row_error * square.sqrt()
                + weights_error * row_square.sqrt()
                + row_error * weights_error;
            let mut expected = sum + f64::from(bias.get(output).copied().unwrap_or_default());
            expected += if case.add { f64::from(before[index]) } else { 0.0 };
            let expected = if case.relu { expected.max(0.0) } else { expected };
            let tolerance = 1.001 * rounding + 1e-6 * (1.0 + expected.abs());
            let difference = (f64::from(found) - expected).abs();
            prop_assert!(difference <= tolerance, "{found}, not {expected} +- {tolerance}");
        }
    }
}

fn product(int16: Int16, rows: &[f32], weights: &[f32], num_outputs: usize) -> Vec<f32> {
    let depth = weights.len() / num_outputs;
    let packed = int16.pack(1, depth, num_outputs, columns(weights, num_outputs));
    let mut out = vec![f32::NAN; rows.len() / depth * num_outputs];
    let epilogue = Epilogue { bias: &[], add: false, relu: false };
    int16.multiply(&Contiguous { values: rows, row_len: depth }, &packed, epilogue, &mut out);
    out
}

#[test]
fn the_largest_sums_there_are_do_not_overflow() {
    let Some(int16) = int16() else { return };
    for depth in [2, 64, 2048, 4608] {
        let alike = vec![0.7f32; depth];
        let alternating: Vec<f32> =
            (0..depth).map(|d| if d % 2 == 0 { 3.0 } else { -3.0 }).collect();
        let mut spike = vec![0.0; depth];
        spike[depth - 1] = -5e4;
        let mut spike_in_noise = values(depth as u64, depth);
        spike_in_noise[0] = 1e3;
        for row in [alike, alternating, spike, spike_in_noise] {
            // The weights of even outputs are the row, those of odd ones point the other way.
            let weights: Vec<f32> = row
                .iter()
                .flat_map(|&value| (0..32).map(move |o| if o % 2 == 0 { value } else { -value }))
                .collect();
            let square: f64 = row.iter().map(|&value| f64::from(value).powi(2)).sum();
            for (output, found) in product(int16, &row, &weights, 32).into_iter().enumerate() {
                let expected = if output % 2 == 0 { square } else { -square };
                let difference = (f64::from(found) - expected).abs();
                assert!(difference < 2e-3 * square, "depth {depth}: {found}, not {expected}");
            }
        }
    }
}

#[test]
fn rows_of_zeros_or_without_a_number_leave_others_alone() {
    let Some(int16) = int16() else { return };
    let depth = 70;
    let weights = values(1, depth * 32);
    let row = values(2, depth);
    let mut without_number = row.clone();
    without_number[3] = f32::NAN;
    let mut infinite = row.clone();
    infinite[4] = f32::INFINITY;
    let rows = [row.clone(), vec![0.0; depth], without_number, infinite, row.clone()].concat();
    let found = product(int16, &rows, &weights, 32);
    let alone = product(int16, &row, &weights, 32);
    assert!(alone.iter().any(|&value| value != 0.0));
    assert_eq!(found[..32], alone);
    assert_eq!(found[32..64], [0.0; 32]);
    assert!(found[64..128].iter().all(|value| value.is_nan()));
    assert_eq!(found[128..], alone);
    assert_eq!(product(int16, &row, &vec![0.0; depth * 32], 32), [0.0; 32]);
}

#[test]
fn a_row_alone_gives_the_same_bits() {
    let Some(int16) = int16() else { return };
    let (depth, num_outputs) = (64, 64);
    let rows = values(3, 2000 * depth);
    let weights = values(4, depth * num_outputs);
    let alone: Vec<f32> = rows
        .chunks_exact(depth)
        .flat_map(|row| product(int16, row, &weights, num_outputs))
        .collect();
    assert_eq!(product(int16, &rows, &weights, num_outputs), alone);
}

#[test]
fn winograd_is_a_convolution_as_far_as_the_steps_go() {
    let Some(int16) = int16() else { return };
    let (num_images, side, channels) = (2, 7, 64);
    let input = values(5, num_images * side * side * channels);
    let weight = values(6, channels * channels * 9);
    let bias = values(7, channels);
    let winograd = Winograd::new(int16, channels, channels, rows(&weight), &bias);
    let mut out = vec![f32::NAN; num_images * side * side * channels];
    winograd.forward(&input, side, &mut Scratch::default(), &mut out);
    let expected = convolve(&input, num_images, side, channels, &weight, &bias);
    let relative = relative_error(&out, &expected);
    assert!(relative < 1e-3, "the root mean square error is {relative} of the output's");
}
