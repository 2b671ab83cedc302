//! Tiles of a product of pairs, as its C++ wants them.

use std::marker::PhantomData;
use std::ops::Range;
use std::ptr;

use super::{PackedPairs, Pair};
use crate::kernels::gemm::Rows;
use crate::kernels::panels::OUTPUTS;

/// Rows of a tile at most.
pub(in crate::kernels) const MAX_ROWS: usize = 12;
/// Segments of a row at most: the pixels of a 3x3 kernel.
pub(in crate::kernels) const MAX_SEGMENTS: usize = 9;

/// As in `pair_product.h`.
#[repr(C)]
pub(in crate::kernels) struct RawTile {
    rows: *const *const Pair,
    num_rows: usize,
    num_segments: usize,
    segment_len: usize,
    weights: *const Pair,
}

/// Some rows and a panel of weights, both whole.
pub(in crate::kernels) struct Tile<'a> {
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
    fn new(
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

    /// How many rows it has.
    #[inline]
    pub(in crate::kernels) fn num_rows(&self) -> usize {
        self.num_rows
    }

    /// What its pointers point to is borrowed as long as the tile is: `segment_len` pairs for each segment
    /// of a row, 32 times as many of all segments for the weights.
    #[inline]
    pub(in crate::kernels) fn raw(&self) -> RawTile {
        RawTile {
            rows: self.rows.as_ptr(),
            num_rows: self.num_rows,
            num_segments: self.num_segments,
            segment_len: self.segment_len,
            weights: self.weights.as_ptr(),
        }
    }

    /// Fails where rows of `width` values, `stride` apart, do not fit into `len`.
    #[inline]
    pub(in crate::kernels) fn require_room(&self, len: usize, stride: usize, width: usize) {
        assert!(len >= (self.num_rows - 1) * stride + width, "the output is too short");
    }
}

/// Calls `compute` with every tile of the product of some of the rows, its first row and its first output.
pub(in crate::kernels) fn for_each_tile(
    rows: &impl Rows<Pair>,
    range: Range<usize>,
    weights: &PackedPairs,
    mut compute: impl FnMut(&Tile, usize, usize),
) {
    let PackedPairs { num_outputs, num_segments, segment_len, .. } = *weights;
    let depth = num_segments * segment_len;
    for output in (0..num_outputs).step_by(OUTPUTS) {
        let panel = &weights.values[output * depth..][..OUTPUTS * depth];
        let mut row = range.start;
        while row < range.end {
            let len = tile_len(range.end - row);
            compute(&Tile::new(rows, row..row + len, segment_len, panel), row, output);
            row += len;
        }
    }
}

/// Rows of the next tile where some are left: about as many as the tiles after it have, since a tile of
/// one or two rows takes as long as one of three.
fn tile_len(num_rows: usize) -> usize {
    num_rows.div_ceil(num_rows.div_ceil(MAX_ROWS))
}
