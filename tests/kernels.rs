//! The kernels against sums taken in f64, for each instruction set of this CPU.

use convolve::convolve;
use ec2train::kernels::arithmetic::Arithmetic;
use ec2train::kernels::gemm::{Contiguous, Epilogue, PackedWeights, Rows, gemm, gemm_of_first};
use ec2train::kernels::gemm_transposed::{Panels, gemm_transposed};
use ec2train::kernels::isa::Isa;
use ec2train::kernels::pool::{average_pool, max_pool};
use ec2train::kernels::winograd::{Scratch, Winograd};
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use weight_rows::rows;

#[path = "common/convolve.rs"]
mod convolve;
#[path = "common/weight_rows.rs"]
mod weight_rows;

/// `len` values in [-1, 1).
fn values(seed: u64, len: usize) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..len).map(|_| rng.random_range(-1.0..1.0)).collect()
}

/// `found` has at most the rounding of sums of `depth` products of values up to 1, or `scale` times
/// that.
#[track_caller]
fn assert_close(found: &[f32], expected: &[f64], depth: usize, scale: f64) {
    assert_eq!(found.len(), expected.len());
    let tolerance = scale * 2.0 * f64::from(f32::EPSILON) * (depth + 4) as f64;
    for (index, (&found, &expected)) in found.iter().zip(expected).enumerate() {
        let difference = (f64::from(found) - expected).abs();
        assert!(difference <= tolerance, "at {index}: {found}, not {expected}");
    }
}

/// Segments that lie in reverse order, with gaps between them.
struct Scattered {
    values: Vec<f32>,
    num_rows: usize,
    num_segments: usize,
    segment_len: usize,
}

impl Rows<f32> for Scattered {
    type Place = usize;

    fn num_rows(&self) -> usize {
        self.num_rows
    }

    fn place(&self, row: usize) -> usize {
        row
    }

    fn segment(&self, row: usize, segment: usize) -> &[f32] {
        let index = row * self.num_segments + segment;
        let last = self.num_rows * self.num_segments - 1;
        &self.values[(last - index) * (self.segment_len + 3)..]
    }
}

/// Rows of `len` values, filled up to `padded` with zeros.
fn pad(values: &[f32], len: usize, padded: usize) -> Vec<f32> {
    let rows = values.chunks(len).map(|row| {
        let mut row = row.to_vec();
        row.resize(padded, 0.0);
        row
    });
    rows.flatten().collect()
}

fn relu(value: f64, relu: bool) -> f64 {
    if relu { value.max(0.0) } else { value }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn products_are_those_of_f64(
        seed in any::<u64>(),
        num_rows in 1..60usize,
        num_segments in 1..12usize,
        segment_len in 1..200usize,
        num_outputs in 1..100usize,
        has_bias in any::<bool>(),
        add in any::<bool>(),
        with_relu in any::<bool>(),
    ) {
        let depth = num_segments * segment_len;
        let rows = Scattered {
            values: values(seed, num_rows * num_segments * (segment_len + 3)),
            num_rows,
            num_segments,
            segment_len,
        };
        let weights = values(seed ^ 1, depth * num_outputs);
        let bias = values(seed ^ 2, if has_bias { num_outputs } else { 0 });
        let before = values(seed ^ 3, num_rows * num_outputs);
        let expected: Vec<f64> = (0..num_rows * num_outputs)
            .map(|index| {
                let (row, output) = (index / num_outputs, index % num_outputs);
                let mut sum = f64::from(bias.get(output).copied().unwrap_or_default());
                sum += if add { f64::from(before[index]) } else { 0.0 };
                for d in 0..depth {
                    let value = rows.segment(row, d / segment_len)[d % segment_len];
                    sum += f64::from(value) * f64::from(weights[d * num_outputs + output]);
                }
                relu(sum, with_relu)
            })
            .collect();

        // For each instruction set filled up to whole vectors, which may be half a panel.
        let mut results = Vec::new();
        for isa in Isa::supported().into_iter().chain([Isa::Portable]) {
            let padded = num_outputs.next_multiple_of(isa.lanes());
            let packed = PackedWeights::new(isa, num_segments, segment_len, padded, |segment, place, output| {
                let depth = segment * segment_len + place;
                if output < num_outputs { weights[depth * num_outputs + output] } else { 0.0 }
            });
            let mut bias = bias.clone();
            bias.resize(if has_bias { padded } else { 0 }, 0.0);
            let mut out = pad(&before, num_outputs, padded);
            gemm(isa, &rows, &packed, Epilogue { bias: &bias, add, relu: with_relu }, &mut out);
            let out: Vec<f32> =
                out.chunks(padded).flat_map(|row| &row[..num_outputs]).copied().collect();
            assert_close(&out, &expected, depth, 1.0);
            results.push(out);
        }
        for pair in results.windows(2) {
            prop_assert_eq!(&pair[0], &pair[1], "instruction sets differ");
        }
    }

    #[test]
    fn weights_that_are_given_by_outputs_are_packed_as_one_by_one(
        seed in any::<u64>(),
        num_segments in 1..5usize,
        segment_len in 1..40usize,
        num_outputs in 1..100usize,
    ) {
        for isa in Isa::supported().into_iter().chain([Isa::Portable]) {
            // The last panel may be half as wide.
            let num_outputs = num_outputs.next_multiple_of(isa.lanes());
            let weights = values(seed, num_outputs * num_segments * segment_len);
            let by_outputs = isa.pack(num_segments, segment_len, num_outputs, rows(&weights));
            let weight = |segment: usize, place: usize, output: usize| {
                weights[(output * num_segments + segment) * segment_len + place]
            };
            let expected = PackedWeights::new(isa, num_segments, segment_len, num_outputs, weight);
            prop_assert_eq!(by_outputs.values(), expected.values(), "{}", isa.name());
        }
    }

    #[test]
    fn a_product_of_a_transposed_matrix_has_the_same_bits(
        seed in any::<u64>(),
        num_rows in 1..60usize,
        more_rows in 0..3usize,
        more_columns in 0..3usize,
        depth in 1..100usize,
        num_outputs in 1..100usize,
    ) {
        let rows = values(seed, num_rows * depth);
        // Lines that are longer, but for the last.
        let line_len = num_rows + more_columns;
        let mut columns = vec![f32::NAN; depth * line_len - more_columns];
        for (d, line) in columns.chunks_mut(line_len).enumerate() {
            line.iter_mut().zip(rows.chunks(depth)).for_each(|(value, row)| *value = row[d]);
        }
        let columns = Contiguous { values: &columns, row_len: line_len };
        for isa in Isa::supported().into_iter().chain([Isa::Portable]) {
            let num_outputs = num_outputs.next_multiple_of(isa.lanes());
            let weights = values(seed ^ 1, depth * num_outputs);
            let packed = PackedWeights::new(isa, 1, depth, num_outputs, |_, d, output| {
                weights[d * num_outputs + output]
            });
            let at_once = PackedWeights::of_matrix(isa, &weights, num_outputs);
            prop_assert_eq!(at_once.values(), packed.values());
            let mut product = vec![f32::NAN; num_rows * num_outputs];
            let epilogue = Epilogue { bias: &[], add: false, relu: false };
            let plain = Contiguous { values: &rows, row_len: depth };
            gemm(isa, &plain, &packed, epilogue, &mut product);
            let mut doubled = product.clone();
            gemm(isa, &plain, &packed, Epilogue { add: true, ..epilogue }, &mut doubled);
            // Packed, with rows after the last one that are left as they are.
            let mut out = PackedWeights::zeros(isa, num_rows + more_rows, num_outputs);
            out.values_mut().fill(7.0);
            for (add, product) in [(false, product), (true, doubled)] {
                // All panels but the last and that one, then each by itself.
                if add {
                    for (outputs, out) in out.panels_mut() {
                        let panels = Panels { weights: &packed, outputs };
                        gemm_transposed(isa, columns, num_rows, panels, add, out, &weights);
                    }
                } else {
                    let last = packed.panels().last().map_or(0, |(outputs, _)| outputs.start);
                    let parts = out.values_mut().split_at_mut((num_rows + more_rows) * last);
                    for (outputs, out) in [(0..last, parts.0), (last..num_outputs, parts.1)] {
                        let panels = Panels { weights: &packed, outputs };
                        gemm_transposed(isa, columns, num_rows, panels, add, out, &weights);
                    }
                }
                let more = vec![7.0; more_rows * num_outputs];
                let expected = [product, more].concat();
                let expected = PackedWeights::of_matrix(isa, &expected, num_outputs);
                prop_assert_eq!(out.values(), expected.values(), "{}", isa.name());
            }
        }
    }

    #[test]
    fn a_product_of_a_part_of_the_depth_is_that_of_the_part(
        seed in any::<u64>(),
        num_rows in 1..30usize,
        depth in 1..60usize,
        more in 0..5usize,
        num_outputs in 1..100usize,
    ) {
        let rows = values(seed, num_rows * depth);
        let rows = Contiguous { values: &rows, row_len: depth };
        for isa in Isa::supported() {
            let num_outputs = num_outputs.next_multiple_of(isa.lanes());
            let weights = values(seed ^ 1, (depth + more) * num_outputs);
            let whole = PackedWeights::of_matrix(isa, &weights, num_outputs);
            let part = PackedWeights::of_matrix(isa, &weights[..depth * num_outputs], num_outputs);
            let epilogue = Epilogue { bias: &[], add: false, relu: false };
            let mut expected = vec![f32::NAN; num_rows * num_outputs];
            gemm(isa, &rows, &part, epilogue, &mut expected);
            let mut out = vec![f32::NAN; num_rows * num_outputs];
            gemm_of_first(isa, &rows, depth, &whole, epilogue, &mut out, &weights);
            prop_assert_eq!(&out, &expected, "{}", isa.name());
        }
    }

    #[test]
    fn a_row_alone_gives_the_same_bits(seed in any::<u64>(), num_rows in 1..40usize) {
        let (depth, num_outputs) = (100, 64);
        let rows = values(seed, num_rows * depth);
        for isa in Isa::supported() {
            let packed = PackedWeights::new(isa, 1, depth, num_outputs, |_, d, output| {
                ((d * 37 + output * 11) % 101) as f32 / 101.0 - 0.5
            });
            let product = |values: &[f32]| {
                let mut out = vec![f32::NAN; values.len() / depth * num_outputs];
                let epilogue = Epilogue { bias: &[], add: false, relu: false };
                gemm(isa, &Contiguous { values, row_len: depth }, &packed, epilogue, &mut out);
                out
            };
            let together = product(&rows);
            let alone: Vec<f32> = rows.chunks_exact(depth).flat_map(product).collect();
            prop_assert_eq!(together, alone);
        }
    }

    #[test]
    fn winograd_is_a_convolution(
        seed in any::<u64>(),
        num_images in 1..4usize,
        side in 1..15usize,
        in_panels in 1..3usize,
        out_panels in 1..3usize,
    ) {
        let (num_in, num_out) = (32 * in_panels, 32 * out_panels);
        let input = values(seed, num_images * side * side * num_in);
        let weight = values(seed ^ 1, num_out * num_in * 9);
        let bias = values(seed ^ 2, num_out);
        let expected = convolve(&input, num_images, side, num_in, &weight, &bias);
        for isa in Isa::supported() {
            let winograd = Winograd::new(isa, num_in, num_out, rows(&weight), &bias);
            let mut scratch = Scratch::default();
            let mut out = vec![f32::NAN; num_images * side * side * num_out];
            winograd.forward(&input, side, &mut scratch, &mut out);
            // What the detour over points may cost: about a decimal digit.
            assert_close(&out, &expected, 9 * num_in, 10.0);

            let image_len = side * side * num_in;
            let mut last = vec![f32::NAN; side * side * num_out];
            let image = &input[(num_images - 1) * image_len..];
            winograd.forward(image, side, &mut scratch, &mut last);
            prop_assert_eq!(&last[..], &out[(num_images - 1) * side * side * num_out..]);
        }
    }
}

#[test]
fn the_largest_of_nine_pixels_is_taken_in_steps_of_two() {
    for isa in Isa::supported() {
        let num_channels = isa.lanes();
        // A line of zeros, then 4x4 pixels: the pixel's number, in the other channels zero.
        let mut lines = vec![0.0; 5 * 4 * num_channels];
        for pixel in 0..16 {
            lines[(4 + pixel) * num_channels] = pixel as f32;
        }
        let mut out = vec![f32::NAN; 4 * num_channels];
        max_pool(isa, &lines, 4, num_channels, &mut out);
        // Windows reach from row -1 to 1 and from 1 to 3.
        for (pixel, expected) in out.chunks_exact(num_channels).zip([5.0, 7.0, 13.0, 15.0]) {
            assert_eq!(pixel[0], expected, "{}", isa.name());
            assert!(pixel[1..].iter().all(|&value| value == 0.0), "{}", isa.name());
        }
    }
}

#[test]
fn the_mean_is_taken_for_each_channel() {
    for isa in Isa::supported() {
        let num_channels = 2 * isa.lanes();
        // Three pixels, with a value after each that is no channel's.
        let pixels: Vec<f32> = [1.0, 2.0, 6.0]
            .into_iter()
            .flat_map(|factor| {
                let channels = (0..num_channels).map(move |channel| factor * channel as f32);
                channels.chain([1e9])
            })
            .collect();
        let mut out = vec![f32::NAN; num_channels];
        average_pool(isa, &pixels, num_channels + 1, &mut out);
        let expected: Vec<f32> = (0..num_channels).map(|channel| 3.0 * channel as f32).collect();
        assert_eq!(out, expected, "{}", isa.name());
    }
}

#[test]
fn the_fastest_instruction_set_comes_first() {
    let lanes: Vec<usize> = Isa::supported().into_iter().map(Isa::lanes).collect();
    assert!(lanes.is_sorted_by(|a, b| a > b), "{lanes:?}");
    #[cfg(target_arch = "x86_64")]
    {
        let has_avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        assert_eq!(lanes.contains(&8), has_avx2);
    }
}
