//! Products by tiles: the seam between Rust and its C++.
#![allow(unsafe_code)]

use std::ptr;

use super::{Ends, STEP, Unit};
use crate::kernels::bf16::Bf16;
use crate::kernels::gemm::Epilogue;
use crate::kernels::lines::Lines;
use crate::kernels::pairs::{PackedPairs, Pair};
use crate::kernels::panels::OUTPUTS;

/// Rows of a tile at most.
pub(super) const MAX_ROWS: usize = 16;
/// Stands for an output that is thrown away.
pub(super) const NOWHERE: u32 = u32::MAX;

/// Rows that lie equally far apart, and where what is computed of each goes; as in `amx_product.h`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(super) struct TileRows {
    /// Where the first one lies.
    pub(super) first: usize,
    /// Where its end lies.
    pub(super) first_end: usize,
    /// Where rows of the output begin, or [`NOWHERE`].
    pub(super) outputs: [u32; MAX_ROWS],
}

/// As in `amx_product.h`.
#[repr(C)]
struct RawProduct {
    values: *const Pair,
    segments: *const usize,
    num_segments: usize,
    steps_per_segment: usize,
    row_stride: usize,
    ends: *const Pair,
    steps_per_end: usize,
    end_stride: usize,
    tiles: *const TileRows,
    num_tiles: usize,
    block_len: usize,
    tile_len: usize,
    weights: *const Pair,
    num_panels: usize,
    bias: *const f32,
    add: bool,
    relu: bool,
    out: *mut Pair,
    out_stride: usize,
}

// native/amx.cpp, native/amx_emulated.cpp
unsafe extern "C" {
    fn ec2train_amx_request() -> bool;
    fn ec2train_amx_multiply(product: *const RawProduct);
    fn ec2train_amx_multiply_emulated(product: *const RawProduct);
}

/// Whether the CPU has tiles, and the kernel lets this process use them.
pub(super) fn request(_proof: Bf16) -> bool {
    // SAFETY: it takes nothing. It is compiled with AVX-512, which a `Bf16` proves.
    unsafe { ec2train_amx_request() }
}

/// Some tiles of rows and all panels of weights.
pub(super) struct Product<'a> {
    pub(super) lines: &'a Lines<'a, Pair>,
    pub(super) ends: Ends<'a>,
    pub(super) tiles: &'a [TileRows],
    /// Tiles that are multiplied with all panels before the next.
    pub(super) block_len: usize,
    /// Rows of each tile.
    pub(super) tile_len: usize,
    pub(super) weights: &'a PackedPairs,
}

impl Product<'_> {
    /// Writes rows of `out`, which are `out_stride` apart if any is given; only then is what they hold added.
    pub(super) fn multiply(
        &self,
        unit: Unit,
        epilogue: Epilogue,
        out_stride: Option<usize>,
        out: &mut [Pair],
    ) {
        assert!(!epilogue.add || out_stride.is_some(), "rows of the output are not spaced evenly");
        self.check(out.len(), out_stride.filter(|_| epilogue.add));
        let bias = if epilogue.bias.is_empty() {
            ptr::null()
        } else {
            epilogue.bias[..self.weights.num_outputs].as_ptr()
        };
        let product = RawProduct {
            values: self.lines.values.as_ptr(),
            segments: self.lines.segments.as_ptr(),
            num_segments: self.weights.num_segments,
            steps_per_segment: (self.weights.segment_len - self.ends.len) / STEP,
            row_stride: self.lines.row_stride,
            ends: self.ends.rows.values.as_ptr(),
            steps_per_end: self.ends.len / STEP,
            end_stride: self.ends.rows.row_len,
            tiles: self.tiles.as_ptr(),
            num_tiles: self.tiles.len(),
            block_len: self.block_len,
            tile_len: self.tile_len,
            weights: self.weights.values.as_ptr(),
            num_panels: self.weights.num_outputs / OUTPUTS,
            bias,
            add: epilogue.add,
            relu: epilogue.relu,
            out: out.as_mut_ptr(),
            out_stride: out_stride.unwrap_or_default(),
        };
        // SAFETY: `check` and the lines above have compared all lengths. All that is pointed to is
        // borrowed until the end of this function. A `Unit::Cpu` is only made where `request` was granted.
        unsafe {
            match unit {
                Unit::Cpu(_) => ec2train_amx_multiply(&product),
                Unit::Imitation => ec2train_amx_multiply_emulated(&product),
            }
        }
    }

    /// Panics where a tile reads or writes outside. With `out_stride` it reads the output as well.
    fn check(&self, out_len: usize, out_stride: Option<usize>) {
        let PackedPairs { ref values, num_outputs, num_segments, segment_len } = *self.weights;
        assert_eq!(values.len(), num_segments * segment_len * num_outputs);
        assert!(segment_len.is_multiple_of(STEP) && num_outputs.is_multiple_of(OUTPUTS));
        assert_eq!(self.lines.segments.len(), num_segments, "rows have other segments");
        let end_len = self.ends.len;
        assert!(end_len.is_multiple_of(STEP) && end_len <= segment_len);
        assert!(end_len == 0 || num_segments == 1, "rows of many segments have no ends");
        assert!((1..=MAX_ROWS).contains(&self.tile_len) && self.block_len > 0);
        let furthest = self.lines.segments.iter().max().copied().unwrap_or_default();
        let reach = (self.tile_len - 1) * self.lines.row_stride + furthest + segment_len - end_len;
        let end_reach = (self.tile_len - 1) * self.ends.rows.row_len + end_len;
        for TileRows { first, first_end, outputs } in self.tiles {
            assert!(first + reach <= self.lines.values.len(), "a row is too short");
            assert!(
                end_len == 0 || first_end + end_reach <= self.ends.rows.values.len(),
                "a row's end is too short"
            );
            let mut rows = outputs.iter().enumerate().filter(|&(_, &output)| output != NOWHERE);
            let last = rows.clone().next_back().map(|(_, &output)| output as usize);
            assert!(last.is_some_and(|last| last + num_outputs / 2 <= out_len), "no room");
            if let Some(stride) = out_stride {
                let is_spaced = |(row, &output): (usize, &u32)| {
                    last.is_some_and(|last| {
                        output as usize + (self.tile_len - 1 - row) * stride == last
                    })
                };
                assert!(rows.all(is_spaced), "rows of the output are not one after the other");
                assert!(last.is_some_and(|last| last >= (self.tile_len - 1) * stride));
            }
        }
    }
}
