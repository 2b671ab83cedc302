//! Products of tiles in bf16, rounding to it: the seam between Rust and its C++.
#![allow(unsafe_code)]

use std::ptr;

use super::Bf16;
use crate::kernels::pairs::Pair;
use crate::kernels::pairs::tile::{RawTile, Tile};
use crate::kernels::panels::OUTPUTS;

/// As in `bf16.cpp`.
#[repr(C)]
struct RawEpilogue {
    bias: *const f32,
    add: bool,
    relu: bool,
}

// native/bf16.cpp
unsafe extern "C" {
    fn ec2train_bf16_to_pairs(
        tile: *const RawTile,
        epilogue: *const RawEpilogue,
        out: *mut Pair,
        stride: usize,
    );
    fn ec2train_bf16_to_sums(tile: *const RawTile, out: *mut f32, stride: usize);
    fn ec2train_bf16_round(values: *const f32, out: *mut Pair, num_pairs: usize);
}

/// Writes pairs of `values`, each rounded to the nearest, halves to even.
pub(super) fn round(_proof: Bf16, values: &[f32], out: &mut [Pair]) {
    assert_eq!(values.len(), 2 * out.len(), "not two values for each pair");
    // SAFETY: a `Bf16` was given, so the CPU has the instructions. The lengths have been compared just
    // now.
    unsafe { ec2train_bf16_round(values.as_ptr(), out.as_mut_ptr(), out.len()) }
}

/// What a sum begins with and how it ends, for one panel.
pub(super) struct Rounding<'a> {
    /// `[32]`
    pub(super) bias: Option<&'a [f32]>,
    pub(super) add: bool,
    pub(super) relu: bool,
}

/// Writes the tile into the first 16 pairs of each row of `out`, `stride` apart.
#[inline]
pub(super) fn to_pairs(
    _proof: Bf16,
    tile: &Tile,
    rounding: Rounding,
    out: &mut [Pair],
    stride: usize,
) {
    tile.require_room(out.len(), stride, OUTPUTS / 2);
    let bias = rounding.bias.map_or(ptr::null(), |bias| bias[..OUTPUTS].as_ptr());
    let epilogue = RawEpilogue { bias, add: rounding.add, relu: rounding.relu };
    // SAFETY: a `Bf16` was given, so the CPU has the instructions. The tile borrows what it points to;
    // `bias` and `out` have been measured just now.
    unsafe { ec2train_bf16_to_pairs(&tile.raw(), &epilogue, out.as_mut_ptr(), stride) }
}

/// Writes the tile's sums into the first 32 values of each row of `out`, `stride` apart.
#[inline]
pub(super) fn to_sums(_proof: Bf16, tile: &Tile, out: &mut [f32], stride: usize) {
    tile.require_room(out.len(), stride, OUTPUTS);
    // SAFETY: as above.
    unsafe { ec2train_bf16_to_sums(&tile.raw(), out.as_mut_ptr(), stride) }
}
