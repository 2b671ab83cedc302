//! Tiles of products in bf16, rounding to it: the seam between Rust and its C++.
#![allow(unsafe_code)]

use std::marker::PhantomData;
use std::ops::Range;
use std::ptr;

use super::Bf16;
use crate::kernels::gemm::Rows;
use crate::kernels::pairs::{OUTPUTS, Pair};

/// Rows of a tile at most.
pub(super) const MAX_ROWS: usize = 12;
/// Segments of a row at most: the pixels of a 3x3 kernel.
const MAX_SEGMENTS: usize = 9;

/// As in `bf16.cpp`.
#[repr(C)]
struct RawTile {
    rows: *const *const Pair,
    num_rows: usize,
    num_segments: usize,
    segment_len: usize,
    weights: *const Pair,
}

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

/// Some rows and a panel of weights, both whole.
pub(super) struct Tile<'a> {
    /// `[segments][rows]`
    rows: [*const Pair; MAX_ROWS * MAX_SEGMENTS],
    num_rows: usize,
    num_segments: usize,
    segment_len: usize,
    weights: &'a [Pair],
    borrowed: PhantomData<&'a [Pair]>,
}

impl<'a> Tile<'a> {
    /// Finds up to 12 rows. `weights` are `[segments * segment_len, 32]`.
    #[inline]
    pub(super) fn new(
        _proof: Bf16,
        rows: &'a impl Rows<Pair>,
        range: Range<usize>,
        segment_len: usize,
        weights: &'a [Pair],
    ) -> Self {
        let num_rows = range.len();
        let num_segments = weights.len() / (OUTPUTS * segment_len);
        assert!((1..=MAX_ROWS).contains(&num_rows) && num_segments <= MAX_SEGMENTS);
        let mut pointers = [ptr::null(); MAX_ROWS * MAX_SEGMENTS];
        for (index, row) in range.enumerate() {
            let place = rows.place(row);
            for segment in 0..num_segments {
                let values = &rows.segment(place, segment)[..segment_len];
                pointers[segment * num_rows + index] = values.as_ptr();
            }
        }
        Tile { rows: pointers, num_rows, num_segments, segment_len, weights, borrowed: PhantomData }
    }

    /// Writes the tile into the first 16 pairs of each row of `out`, `stride` apart.
    #[inline]
    pub(super) fn to_pairs(&self, rounding: Rounding, out: &mut [Pair], stride: usize) {
        self.require_room(out.len(), stride, OUTPUTS / 2);
        let bias = rounding.bias.map_or(ptr::null(), |bias| bias[..OUTPUTS].as_ptr());
        let epilogue = RawEpilogue { bias, add: rounding.add, relu: rounding.relu };
        // SAFETY: a `Bf16` was given to `new`, so the CPU has the instructions. `new` found
        // `segment_len` values behind each pointer, borrowed as long as this tile, and as many
        // weights; `bias` and `out` have been measured just now.
        unsafe { ec2train_bf16_to_pairs(&self.raw(), &epilogue, out.as_mut_ptr(), stride) }
    }

    /// Writes the tile's sums into the first 32 values of each row of `out`, `stride` apart.
    #[inline]
    pub(super) fn to_sums(&self, out: &mut [f32], stride: usize) {
        self.require_room(out.len(), stride, OUTPUTS);
        // SAFETY: as above.
        unsafe { ec2train_bf16_to_sums(&self.raw(), out.as_mut_ptr(), stride) }
    }

    fn require_room(&self, len: usize, stride: usize, width: usize) {
        assert!(len >= (self.num_rows - 1) * stride + width, "the output is too short");
    }

    fn raw(&self) -> RawTile {
        RawTile {
            rows: self.rows.as_ptr(),
            num_rows: self.num_rows,
            num_segments: self.num_segments,
            segment_len: self.segment_len,
            weights: self.weights.as_ptr(),
        }
    }
}
