//! Products of tiles of 16-bit integers, rounding rows to these: the seam between Rust and its C++.
#![allow(unsafe_code)]

use std::ptr;

use super::Int16;
use crate::kernels::gemm::Rows;
use crate::kernels::pairs::Pair;
use crate::kernels::pairs::tile::{MAX_SEGMENTS, RawTile, Tile};
use crate::kernels::panels::OUTPUTS;

/// As in `int16.cpp`.
#[repr(C)]
struct RawEpilogue {
    row_scales: *const f32,
    scales: *const f32,
    bias: *const f32,
    add: bool,
    relu: bool,
}

// native/int16.cpp
unsafe extern "C" {
    fn ec2train_int16_to_f32(
        tile: *const RawTile,
        epilogue: *const RawEpilogue,
        out: *mut f32,
        stride: usize,
    );
    fn ec2train_int16_round(
        segments: *const *const f32,
        num_segments: usize,
        segment_len: usize,
        norm: f32,
        out: *mut Pair,
    ) -> f32;
}

/// Rounds a row to integers whose norm is `norm`, one segment after the other, each filled up to whole pairs,
/// and returns what they are to be multiplied with.
#[inline]
pub(super) fn round_row<R: Rows<f32>>(
    _proof: Int16,
    rows: &R,
    row: usize,
    segment_len: usize,
    norm: f32,
    out: &mut [Pair],
) -> f32 {
    let num_pairs = segment_len.div_ceil(2);
    let num_segments = out.len() / num_pairs;
    assert!(
        num_segments <= MAX_SEGMENTS && out.len() == num_segments * num_pairs,
        "the row's shape is not the weights'"
    );
    let place = rows.place(row);
    let mut segments = [ptr::null(); MAX_SEGMENTS];
    for (segment, pointer) in segments[..num_segments].iter_mut().enumerate() {
        *pointer = rows.segment(place, segment)[..segment_len].as_ptr();
    }
    // SAFETY: an `Int16` was given, so the CPU has the instructions. Each segment has been measured just
    // now, and the output.
    unsafe {
        ec2train_int16_round(segments.as_ptr(), num_segments, segment_len, norm, out.as_mut_ptr())
    }
}

/// What sums are multiplied with and how they end, for one tile.
pub(super) struct Scaling<'a> {
    /// `[rows]`
    pub(super) row_scales: &'a [f32],
    /// `[32]`
    pub(super) scales: &'a [f32],
    /// `[32]`
    pub(super) bias: Option<&'a [f32]>,
    pub(super) add: bool,
    pub(super) relu: bool,
}

/// Writes the tile into the first 32 values of each row of `out`, `stride` apart.
#[inline]
pub(super) fn to_f32(_proof: Int16, tile: &Tile, scaling: Scaling, out: &mut [f32], stride: usize) {
    tile.require_room(out.len(), stride, OUTPUTS);
    let epilogue = RawEpilogue {
        row_scales: scaling.row_scales[..tile.num_rows()].as_ptr(),
        scales: scaling.scales[..OUTPUTS].as_ptr(),
        bias: scaling.bias.map_or(ptr::null(), |bias| bias[..OUTPUTS].as_ptr()),
        add: scaling.add,
        relu: scaling.relu,
    };
    // SAFETY: an `Int16` was given, so the CPU has the instructions. The tile borrows what it points to;
    // everything else has been measured just now.
    unsafe { ec2train_int16_to_f32(&tile.raw(), &epilogue, out.as_mut_ptr(), stride) }
}
