//! Numbers of 16 bits, two and two in 32 bits.
//!
//! Two neighbouring channels are a pair, the first in the lower half: instructions for 16 bits multiply
//! pairs. They are bf16, or the integers of `int16`.

pub(super) mod tile;

use pulp::Simd;

use super::aligned::Aligned;
use super::arithmetic::{MAX_PARTS, Value, bf16_bits};
use super::isa::{Isa, Kernel};
use super::panels::OUTPUTS;

/// Two channels, of 16 bits each.
pub type Pair = u32;

/// The right matrix `[depth, outputs]`, cut into panels of 32 outputs.
#[derive(Debug)]
pub struct PackedPairs {
    /// `[outputs / 32, segments, segment_len, 32]`
    pub(super) values: Aligned<Pair>,
    pub(super) num_outputs: usize,
    pub(super) num_segments: usize,
    /// In pairs.
    pub(super) segment_len: usize,
}

impl PackedPairs {
    /// The memory that they take.
    pub fn bytes(&self) -> usize {
        size_of_val::<[Pair]>(&self.values)
    }

    /// Room for weights. `segment_len` in pairs.
    pub(super) fn with_capacity(
        num_segments: usize,
        segment_len: usize,
        num_outputs: usize,
    ) -> Self {
        assert!(num_outputs.is_multiple_of(OUTPUTS), "outputs are not a multiple of {OUTPUTS}");
        let values = Aligned::with_capacity(num_segments * segment_len * num_outputs);
        PackedPairs { values, num_outputs, num_segments, segment_len }
    }

    /// The same for segments of `num_channels`, filled up to a multiple of `step` pairs.
    pub(super) fn for_channels(
        num_segments: usize,
        num_channels: usize,
        num_outputs: usize,
        step: usize,
    ) -> Self {
        assert!(
            num_channels.is_multiple_of(2),
            "a segment of {num_channels} channels has no whole pairs"
        );
        let segment_len = (num_channels / 2).next_multiple_of(step);
        PackedPairs::with_capacity(num_segments, segment_len, num_outputs)
    }

    /// Adds zeros for the next 32 outputs, `[segments, segment_len, 32]`, and returns them.
    pub(super) fn append_panel(&mut self) -> &mut [[Pair; OUTPUTS]] {
        let depth = self.num_segments * self.segment_len;
        self.values.append(OUTPUTS * depth).as_chunks_mut().0
    }

    /// Adds the weights of the next 32 outputs, `[segments, channels, 32]`, rounded to bf16.
    pub(super) fn push_bf16(&mut self, isa: Isa, weights: &[[f32; OUTPUTS]]) {
        let (num_segments, segment_len) = (self.num_segments, self.segment_len);
        let num_channels = weights.len() / num_segments;
        assert!(num_channels.div_ceil(2) <= segment_len, "a panel's segments are too long");
        let panel = self.append_panel();
        isa.run(RoundToBf16 { weights, num_channels, segment_len, panel });
    }
}

/// Rounds the weights of a panel.
struct RoundToBf16<'a> {
    /// `[segments, num_channels, 32]`
    weights: &'a [[f32; OUTPUTS]],
    num_channels: usize,
    /// In pairs.
    segment_len: usize,
    /// `[segments, segment_len, 32]`
    panel: &'a mut [[Pair; OUTPUTS]],
}

impl Kernel for RoundToBf16<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, _simd: S) {
        let segments = self.weights.chunks_exact(self.num_channels);
        join_channels(
            segments.zip(self.panel.chunks_exact_mut(self.segment_len)),
            #[inline(always)]
            |_, first, second| pair(first, second),
        );
    }
}

/// Writes `join(output, first, second)` of each two channels of a segment, `[channels, 32]`, to its pairs,
/// `[pairs, 32]`. The channel after an odd last one is zero.
#[inline(always)]
pub(super) fn join_channels<'a>(
    segments: impl Iterator<Item = (&'a [[f32; OUTPUTS]], &'a mut [[Pair; OUTPUTS]])>,
    join: impl Fn(usize, f32, f32) -> Pair,
) {
    for (channels, pairs) in segments {
        for (channels, pairs) in channels.chunks(2).zip(pairs) {
            let (first, second) = (&channels[0], channels.get(1).unwrap_or(&[0.0; OUTPUTS]));
            for output in 0..OUTPUTS {
                pairs[output] = join(output, first[output], second[output]);
            }
        }
    }
}

/// Two numbers, each rounded to the nearest bf16, halves to even.
#[inline(always)]
pub(super) fn pair(first: f32, second: f32) -> Pair {
    join(bf16_bits(first), bf16_bits(second))
}

/// Two numbers' bits.
#[inline(always)]
pub(super) fn join(first: u16, second: u16) -> Pair {
    u32::from(first) | u32::from(second) << 16
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
    fn segments_are_filled_up_with_zeros() {
        let mut weights = Vec::new();
        for segment in 0..2 {
            for channel in 0..4 {
                let value = |output| (100 * segment + 10 * channel + output) as f32;
                weights.push(std::array::from_fn(value));
            }
        }
        let mut packed = PackedPairs::for_channels(2, 4, 64, 3);
        packed.push_bf16(Isa::fastest(), &[[0.0; 32]; 8]);
        packed.push_bf16(Isa::fastest(), &weights);
        assert_eq!(packed.segment_len, 3);
        let lines: Vec<&[Pair]> = packed.values.chunks_exact(32).collect();
        assert_eq!(lines[..6], [[0; 32]; 6]);
        assert_eq!(lines[6][1], pair(1.0, 11.0));
        assert_eq!(lines[7][0], pair(20.0, 30.0));
        assert_eq!(lines[8], [0; 32]);
        assert_eq!(lines[10][2], pair(122.0, 132.0));
        assert_eq!(lines[11], [0; 32]);
    }

    #[test]
    fn the_channel_after_an_odd_last_one_is_zero() {
        let channels = [[1.0; 32], [2.0; 32], [3.0; 32]];
        let mut pairs = [[0; 32]; 2];
        let segments = [(&channels[..], &mut pairs[..])];
        join_channels(segments.into_iter(), |_, first, second| pair(first, second));
        assert_eq!(pairs, [[pair(1.0, 2.0); 32], [pair(3.0, 0.0); 32]]);
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
