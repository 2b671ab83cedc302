//! The kernels in bf16 against f64, on CPUs with AVX512_BF16.
#![cfg(all(feature = "native", target_arch = "x86_64"))]

use ec2train::kernels::arithmetic::{Arithmetic, bf16_bits};
use ec2train::kernels::bf16::Bf16;
use ec2train::kernels::gemm::{Contiguous, Epilogue};
use ec2train::kernels::pairs::Pair;
use ec2train::kernels::pool::{average_pool, max_pool};
use ec2train::kernels::winograd::{Scratch, Winograd};
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

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

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn products_are_those_of_f64_rounded_once(
        seed in any::<u64>(),
        num_rows in 1..40usize,
        num_pairs in 1..150usize,
        num_panels in 1..4usize,
        gap in 0..3usize,
        has_bias in any::<bool>(),
        add in any::<bool>(),
        relu in any::<bool>(),
    ) {
        let Some(bf16) = bf16() else { return Ok(()) };
        let (depth, num_outputs) = (2 * num_pairs, 32 * num_panels);
        let (row_len, out_len) = (depth + 2 * gap, num_outputs + 2 * gap);
        let rows = values(seed, num_rows * row_len);
        let weights = values(seed ^ 1, depth * num_outputs);
        let bias = values(seed ^ 2, if has_bias { num_outputs } else { 0 });
        let before = values(seed ^ 3, num_rows * out_len);
        let packed = bf16.pack(1, depth, num_outputs, |_, d, output| weights[d * num_outputs + output]);
        let pairs = to_pairs(&rows);
        let inputs = Contiguous { values: &pairs, row_len: row_len / 2 };

        let mut out = to_pairs(&before);
        bf16.multiply(&inputs, &packed, Epilogue { bias: &bias, add, relu }, &mut out);
        let mut sums = vec![f32::NAN; num_rows * num_outputs];
        bf16.multiply_to_f32(&inputs, &packed, &mut sums);
        let at_once = bf16.pack_matrix(&weights, num_outputs);
        let mut same = vec![f32::NAN; num_rows * num_outputs];
        bf16.multiply_to_f32(&inputs, &at_once, &mut same);
        prop_assert_eq!(&same, &sums, "packed at once, the weights are others");
        // What adding up in f32 costs.
        let tolerance = f64::from(f32::EPSILON) * (depth * depth) as f64;
        for (index, &found) in from_pairs(&out).iter().enumerate() {
            let (row, output) = (index / out_len, index % out_len);
            if output >= num_outputs {
                prop_assert_eq!(found, before[index], "a gap was written to");
                continue;
            }
            let product: f64 = (0..depth)
                .map(|d| f64::from(rows[row * row_len + d]) * f64::from(weights[d * num_outputs + output]))
                .sum();
            let sum = f64::from(sums[row * num_outputs + output]);
            prop_assert!((sum - product).abs() <= tolerance, "{sum}, not {product}");
            let mut expected = product + f64::from(bias.get(output).copied().unwrap_or_default());
            expected += if add { f64::from(before[index]) } else { 0.0 };
            assert_rounded(found, if relu { expected.max(0.0) } else { expected }, tolerance);
        }
    }
}

#[test]
fn a_row_alone_gives_the_same_bits() {
    let Some(bf16) = bf16() else { return };
    let (depth, num_outputs) = (64, 64);
    let rows = to_pairs(&values(1, 41 * depth));
    let weights = values(2, depth * num_outputs);
    let packed = bf16.pack(1, depth, num_outputs, |_, d, output| weights[d * num_outputs + output]);
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
    let winograd = Winograd::new(bf16, channels, channels, &weight, &bias);
    let mut out = vec![0; num_images * side * side * channels / 2];
    winograd.forward(&to_pairs(&input), side, &mut Scratch::default(), &mut out);
    let (mut error, mut square) = (0.0, 0.0);
    for (index, found) in from_pairs(&out).into_iter().enumerate() {
        let (pixel, output) = (index / channels, index % channels);
        let (image, y, x) = (pixel / (side * side), pixel / side % side, pixel % side);
        let mut expected = f64::from(bias[output]);
        for tap in 0..9 {
            let (row, column) = (y + tap / 3, x + tap % 3);
            if row == 0 || row > side || column == 0 || column > side {
                continue;
            }
            let first = ((image * side + row - 1) * side + column - 1) * channels;
            for channel in 0..channels {
                expected += f64::from(input[first + channel])
                    * f64::from(weight[(output * channels + channel) * 9 + tap]);
            }
        }
        error += (f64::from(found) - expected.max(0.0)).powi(2);
        square += expected.max(0.0).powi(2);
    }
    let relative = (error / square).sqrt();
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
