//! Numbers of 16 bits, two and two in 32 bits.
//!
//! Two neighbouring channels are a pair, the first in the lower half: instructions for 16 bits multiply
//! pairs. They are bf16, or the integers of `int16`.

pub(super) mod tile;

use pulp::Simd;

use super::aligned::Aligned;
use super::arithmetic::{MAX_PARTS, Value, bf16_bits};
use super::packing;

/// Outputs of a panel.
pub(super) const OUTPUTS: usize = 32;

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
    /// Packs `weight(segment, channel, output)`, rounded to bits. Zeros fill segments of `num_channels` up to
    /// a multiple of `step` pairs.
    pub(super) fn new(
        num_segments: usize,
        num_channels: usize,
        num_outputs: usize,
        step: usize,
        weight: impl Fn(usize, usize, usize) -> u16,
    ) -> Self {
        assert!(
            num_channels.is_multiple_of(2),
            "a segment of {num_channels} channels has no whole pairs"
        );
        let segment_len = (num_channels / 2).next_multiple_of(step);
        let mut packed = PackedPairs::zeros(num_segments, segment_len, num_outputs);
        packing::fill(
            &mut packed.values,
            num_segments,
            segment_len,
            OUTPUTS,
            |segment, place, output| {
                let channel = |channel| weight(segment, channel, output);
                if 2 * place < num_channels {
                    join(channel(2 * place), channel(2 * place + 1))
                } else {
                    0
                }
            },
        );
        packed
    }

    /// The same, rounded to bf16.
    pub(super) fn bf16(
        num_segments: usize,
        num_channels: usize,
        num_outputs: usize,
        step: usize,
        weight: impl Fn(usize, usize, usize) -> f32,
    ) -> Self {
        let bits = |segment, channel, output| bf16_bits(weight(segment, channel, output));
        PackedPairs::new(num_segments, num_channels, num_outputs, step, bits)
    }

    /// The memory that they take.
    pub fn bytes(&self) -> usize {
        size_of_val::<[Pair]>(&self.values)
    }

    /// `segment_len` in pairs.
    pub(super) fn zeros(num_segments: usize, segment_len: usize, num_outputs: usize) -> Self {
        assert!(num_outputs.is_multiple_of(OUTPUTS), "outputs are not a multiple of {OUTPUTS}");
        let mut values = Aligned::default();
        values.resized(num_segments * segment_len * num_outputs);
        PackedPairs { values, num_outputs, num_segments, segment_len }
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
        let packed = PackedPairs::new(2, 4, 32, 3, |segment, channel, output| {
            bf16_bits((100 * segment + 10 * channel + output) as f32)
        });
        assert_eq!(packed.segment_len, 3);
        let lines: Vec<&[Pair]> = packed.values.chunks_exact(32).collect();
        assert_eq!(lines[0][1], pair(1.0, 11.0));
        assert_eq!(lines[1][0], pair(20.0, 30.0));
        assert_eq!(lines[2], [0; 32]);
        assert_eq!(lines[4][2], pair(122.0, 132.0));
        assert_eq!(lines[5], [0; 32]);
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
