//! Products of f32 by tiles of bf16: the seam between Rust and its C++.
//!
//! Each number is split into two bf16, the nearest to it and the nearest to the rest. Three of their four
//! products are added up: within 2^-16 of the f32 numbers' own, and as quick as a third of bf16's.
#![allow(unsafe_code)]

use super::{Amx, Unit};
use crate::kernels::aligned::Aligned;
use crate::kernels::pairs::Pair;

/// Rows and columns of a tile of sums.
pub const TILE: usize = 16;
/// Depth that a tile multiplies at once.
pub const STEP_DEPTH: usize = 32;
/// Pairs of a split tile: of those nearest to the numbers and of the rest.
const SPLIT_TILE: usize = 2 * TILE * TILE;

/// A matrix of a product, split: `[tiles, steps]` split tiles, of 16 of its rows or columns each.
#[derive(Debug, Default)]
pub struct SplitMatrix {
    values: Aligned<Pair>,
    num_tiles: usize,
    num_steps: usize,
}

impl SplitMatrix {
    /// Makes room for `num_outer` rows of a left matrix, or columns of a right one, of `depth` numbers.
    /// What it holds means nothing then.
    pub fn resize(&mut self, num_outer: usize, depth: usize) {
        self.num_tiles = num_outer.div_ceil(TILE);
        self.num_steps = depth.div_ceil(STEP_DEPTH);
        self.values.resized(self.num_tiles * self.num_steps * SPLIT_TILE);
    }

    /// Pairs from a tile to the next.
    fn stride(&self) -> usize {
        self.num_steps * SPLIT_TILE
    }
}

/// A matrix to be split.
#[derive(Debug, Clone, Copy)]
pub struct Matrix<'a> {
    /// `[num_rows, stride]`, where the last row may end with its columns.
    pub values: &'a [f32],
    /// Rows.
    pub num_rows: usize,
    /// Of a row, the first.
    pub num_columns: usize,
    /// From a row to the next.
    pub stride: usize,
}

/// Where the sums of a product lie.
#[derive(Debug, Clone, Copy)]
pub struct Spread {
    /// From those of a left tile to the next's.
    pub left: usize,
    /// From those of a right tile to the next's.
    pub right: usize,
    /// From a row of a tile to the next.
    pub row: usize,
}

/// As in `amx_split.h`.
#[repr(C)]
struct RawMatrix {
    values: *const f32,
    num_rows: usize,
    num_columns: usize,
    stride: usize,
}

/// As in `amx_split.h`.
#[repr(C)]
struct RawProduct {
    left: *const Pair,
    left_stride: usize,
    num_left: usize,
    right: *const Pair,
    right_stride: usize,
    num_right: usize,
    num_steps: usize,
    sums: *mut f32,
    spread: [usize; 3],
    ahead: *const f32,
    ahead_bytes: usize,
}

// native/amx.cpp, native/amx_emulated.cpp
unsafe extern "C" {
    fn ec2train_amx_multiply_split(product: *const RawProduct);
    fn ec2train_amx_multiply_split_emulated(product: *const RawProduct);
    fn ec2train_amx_split_rows(matrix: *const RawMatrix, out: *mut Pair);
    fn ec2train_amx_split_rows_emulated(matrix: *const RawMatrix, out: *mut Pair);
    fn ec2train_amx_split_columns(
        matrix: *const RawMatrix,
        transposed: bool,
        out: *mut Pair,
        out_stride: usize,
    );
    fn ec2train_amx_split_columns_emulated(
        matrix: *const RawMatrix,
        transposed: bool,
        out: *mut Pair,
        out_stride: usize,
    );
    fn ec2train_amx_transpose(
        from: *const f32,
        to: *mut f32,
        stride: usize,
        num_rows: usize,
        num_numbers: usize,
    );
    fn ec2train_amx_transpose_emulated(
        from: *const f32,
        to: *mut f32,
        stride: usize,
        num_rows: usize,
        num_numbers: usize,
    );
}

impl Matrix<'_> {
    /// Panics where a row ends outside.
    fn raw(&self) -> RawMatrix {
        let Matrix { values, num_rows, num_columns, stride } = *self;
        assert!(num_columns <= stride, "rows overlap");
        let end = num_rows.checked_sub(1).map_or(0, |last| last * stride + num_columns);
        assert!(end <= values.len(), "a row is too short");
        RawMatrix { values: values.as_ptr(), num_rows, num_columns, stride }
    }
}

impl Amx {
    /// Splits a left matrix.
    pub fn split_rows(self, matrix: Matrix, out: &mut SplitMatrix) {
        out.resize(matrix.num_rows, matrix.num_columns);
        let (matrix, out) = (matrix.raw(), out.values.as_mut_ptr());
        // SAFETY: the matrix has been measured, and `resize` has made room for all of it. A `Unit::Cpu` is
        // only made where `request` was granted.
        unsafe {
            match self.unit {
                Unit::Cpu(_) => ec2train_amx_split_rows(&matrix, out),
                Unit::Imitation => ec2train_amx_split_rows_emulated(&matrix, out),
            }
        }
    }

    /// Splits columns of a right matrix, from `first` on, a multiple of 16. There is room for them already.
    pub fn split_columns(self, matrix: Matrix, out: &mut SplitMatrix, first: usize) {
        self.split_columns_to(matrix, false, out, first);
    }

    /// Splits the transposed of a matrix as a left one.
    pub fn split_transposed(self, matrix: Matrix, out: &mut SplitMatrix) {
        out.resize(matrix.num_columns, matrix.num_rows);
        self.split_columns_to(matrix, true, out, 0);
    }

    fn split_columns_to(
        self,
        matrix: Matrix,
        transposed: bool,
        out: &mut SplitMatrix,
        first: usize,
    ) {
        assert!(first.is_multiple_of(TILE), "columns do not begin with a tile");
        let num_tiles = first / TILE + matrix.num_columns.div_ceil(TILE);
        assert!(
            num_tiles <= out.num_tiles && matrix.num_rows.div_ceil(STEP_DEPTH) == out.num_steps,
            "there is no room for these columns"
        );
        let stride = out.stride();
        let (matrix, out) = (matrix.raw(), out.values[first / TILE * stride..].as_mut_ptr());
        // SAFETY: the matrix has been measured, and the tiles from the first on have been counted just now.
        unsafe {
            match self.unit {
                Unit::Cpu(_) => ec2train_amx_split_columns(&matrix, transposed, out, stride),
                Unit::Imitation => {
                    ec2train_amx_split_columns_emulated(&matrix, transposed, out, stride);
                }
            }
        }
    }

    /// Adds the product of `left` with `right` to `sums`, as far as the one has steps that has fewer. Meanwhile
    /// `ahead` is brought into the cache.
    pub fn multiply_split(
        self,
        left: &SplitMatrix,
        right: &SplitMatrix,
        sums: &mut [f32],
        spread: Spread,
        ahead: &[f32],
    ) {
        if left.num_tiles == 0 || right.num_tiles == 0 {
            return;
        }
        let last = (left.num_tiles - 1) * spread.left
            + (right.num_tiles - 1) * spread.right
            + (TILE - 1) * spread.row;
        assert!(last + TILE <= sums.len(), "there is no room for all sums");
        let product = RawProduct {
            left: left.values.as_ptr(),
            left_stride: left.stride(),
            num_left: left.num_tiles,
            right: right.values.as_ptr(),
            right_stride: right.stride(),
            num_right: right.num_tiles,
            num_steps: left.num_steps.min(right.num_steps),
            sums: sums.as_mut_ptr(),
            spread: [spread.left, spread.right, spread.row],
            ahead: ahead.as_ptr(),
            ahead_bytes: size_of_val(ahead),
        };
        // SAFETY: a `SplitMatrix` holds as many tiles and steps as it says; the last sum has been compared
        // with their length. All that is pointed to is borrowed until the end of this function. A
        // `Unit::Cpu` is only made where `request` was granted.
        unsafe {
            match self.unit {
                Unit::Cpu(_) => ec2train_amx_multiply_split(&product),
                Unit::Imitation => ec2train_amx_multiply_split_emulated(&product),
            }
        }
    }

    /// Writes the first columns of a tile as rows `stride` apart, the first `num_numbers` of each.
    pub fn transpose(
        self,
        tile: &[f32; TILE * TILE],
        out: &mut [f32],
        stride: usize,
        num_columns: usize,
        num_numbers: usize,
    ) {
        assert!(num_columns <= TILE && num_numbers <= TILE, "a tile has fewer");
        let Some(last) = num_columns.checked_sub(1) else { return };
        assert!(last * stride + num_numbers <= out.len(), "there is no room for all rows");
        let (tile, out) = (tile.as_ptr(), out.as_mut_ptr());
        // SAFETY: all has been measured just now.
        unsafe {
            match self.unit {
                Unit::Cpu(_) => ec2train_amx_transpose(tile, out, stride, num_columns, num_numbers),
                Unit::Imitation => {
                    ec2train_amx_transpose_emulated(tile, out, stride, num_columns, num_numbers);
                }
            }
        }
    }
}
