//! Products of bf16 with f32 by tiles of bf16: the seam between Rust and its C++.
//!
//! Each f32 is split into two bf16, the nearest to it and the nearest to the rest, and both are multiplied with the
//! bf16: within 2^-16 of the product with the f32 itself, and half as quick as bf16's.
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

/// The f32 matrix of a product, split: `[tiles, steps]` split tiles, of 16 of its rows or columns each.
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

/// Rows of bf16: a left matrix as it lies, or what a right one is made of.
#[derive(Debug, Clone, Copy)]
pub struct PairRows<'a> {
    /// `[num_rows, stride]`, where the last row may end with its pairs.
    pub values: &'a [Pair],
    /// A multiple of 16; of 32 for a right matrix.
    pub num_rows: usize,
    /// Of a row, the first, a multiple of 16.
    pub num_pairs: usize,
    /// From a row to the next, in pairs.
    pub stride: usize,
}

/// The right bf16 matrix of a product: `[tiles, steps]` tiles of 16 of its columns each, of which rows are paired.
#[derive(Debug, Default)]
pub struct PairedRows {
    values: Aligned<Pair>,
    num_tiles: usize,
    num_steps: usize,
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
struct RawPairRows {
    values: *const Pair,
    num_rows: usize,
    num_pairs: usize,
    stride: usize,
}

/// As `PlainTiles` in `amx_split.h`.
#[repr(C)]
struct RawTiles {
    values: *const Pair,
    num_tiles: usize,
    num_steps: usize,
    tile_stride: usize,
    step_stride: usize,
    row_stride: usize,
}

/// As in `amx_split.h`.
#[repr(C)]
struct RawProduct {
    split: *const Pair,
    split_stride: usize,
    num_split: usize,
    plain: RawTiles,
    sums: *mut f32,
    /// From the sums of a split tile, of a plain one and of a row to the next.
    strides: [usize; 3],
    ahead: [RawRegion; 2],
}

/// As `Region` in `amx_split.h`.
#[repr(C)]
struct RawRegion {
    first: *const Pair,
    bytes: usize,
}

// native/amx.cpp, native/amx_emulated.cpp
unsafe extern "C" {
    fn ec2train_amx_multiply_split(product: *const RawProduct, split_is_left: bool);
    fn ec2train_amx_multiply_split_emulated(product: *const RawProduct, split_is_left: bool);
    fn ec2train_amx_pair_rows(rows: *const RawPairRows, out: *mut Pair);
    fn ec2train_amx_pair_rows_emulated(rows: *const RawPairRows, out: *mut Pair);
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

impl PairRows<'_> {
    /// Panics where a row ends outside.
    fn raw(&self) -> RawPairRows {
        let PairRows { values, num_rows, num_pairs, stride } = *self;
        assert!(num_pairs <= stride, "rows overlap");
        assert!(num_rows.is_multiple_of(TILE) && num_pairs.is_multiple_of(TILE), "no whole tiles");
        let end = num_rows.checked_sub(1).map_or(0, |last| last * stride + num_pairs);
        assert!(end <= values.len(), "a row is too short");
        RawPairRows { values: values.as_ptr(), num_rows, num_pairs, stride }
    }

    fn tiles(&self) -> RawTiles {
        let RawPairRows { values, num_rows, num_pairs, stride } = self.raw();
        RawTiles {
            values,
            num_tiles: num_rows / TILE,
            num_steps: num_pairs / TILE,
            tile_stride: TILE * stride,
            step_stride: TILE,
            row_stride: stride,
        }
    }
}

impl PairedRows {
    fn tiles(&self) -> RawTiles {
        RawTiles {
            values: self.values.as_ptr(),
            num_tiles: self.num_tiles,
            num_steps: self.num_steps,
            tile_stride: self.num_steps * TILE * TILE,
            step_stride: TILE * TILE,
            row_stride: TILE,
        }
    }
}

impl Amx {
    /// Pairs the numbers of each two rows, for a right matrix.
    pub fn pair_rows(self, rows: PairRows, out: &mut PairedRows) {
        assert!(rows.num_rows.is_multiple_of(STEP_DEPTH), "there are no whole steps");
        out.num_steps = rows.num_rows / STEP_DEPTH;
        out.num_tiles = 2 * rows.num_pairs / TILE;
        let len = out.num_tiles * out.num_steps * TILE * TILE;
        let (rows, out) = (rows.raw(), out.values.resized(len).as_mut_ptr());
        // SAFETY: the rows have been measured, and there is room for all their pairs. A `Unit::Cpu` is only
        // made where `request` was granted.
        unsafe {
            match self.unit {
                Unit::Cpu(_) => ec2train_amx_pair_rows(&rows, out),
                Unit::Imitation => ec2train_amx_pair_rows_emulated(&rows, out),
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

    /// Adds the product of rows with `right`, as far as the one has steps that has fewer, to `sums`. Meanwhile
    /// `ahead` is brought into the cache.
    pub fn multiply_rows(
        self,
        left: PairRows,
        right: &SplitMatrix,
        sums: &mut [f32],
        spread: Spread,
        ahead: &[Pair],
    ) {
        self.multiply_split(right, left.tiles(), false, sums, spread, [ahead, &[]]);
    }

    /// The same of `left` with rows that are paired. What is multiplied `next` is brought into the cache as well.
    pub fn multiply_paired(
        self,
        left: &SplitMatrix,
        right: &PairedRows,
        sums: &mut [f32],
        spread: Spread,
        next: Option<&SplitMatrix>,
        ahead: &[Pair],
    ) {
        let next = next.map_or(&[][..], |next| &next.values);
        self.multiply_split(left, right.tiles(), true, sums, spread, [ahead, next]);
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

    /// `plain` tiles lie in memory that outlives this.
    fn multiply_split(
        self,
        split: &SplitMatrix,
        plain: RawTiles,
        split_is_left: bool,
        sums: &mut [f32],
        spread: Spread,
        ahead: [&[Pair]; 2],
    ) {
        let Spread { left, right, row } = spread;
        let (of_split, of_plain) = if split_is_left { (left, right) } else { (right, left) };
        if split.num_tiles == 0 || plain.num_tiles == 0 {
            return;
        }
        let last =
            (split.num_tiles - 1) * of_split + (plain.num_tiles - 1) * of_plain + (TILE - 1) * row;
        assert!(last + TILE <= sums.len(), "there is no room for all sums");
        let num_steps = plain.num_steps.min(split.num_steps);
        let product = RawProduct {
            split: split.values.as_ptr(),
            split_stride: split.stride(),
            num_split: split.num_tiles,
            plain: RawTiles { num_steps, ..plain },
            sums: sums.as_mut_ptr(),
            strides: [of_split, of_plain, row],
            ahead: ahead.map(|it| RawRegion { first: it.as_ptr(), bytes: size_of_val(it) }),
        };
        // SAFETY: a `SplitMatrix` holds as many tiles and steps as it says, and `RawTiles` are only made of
        // what has been measured; the last sum has been compared with their length. All that is pointed to is
        // borrowed until the end of the caller. A `Unit::Cpu` is only made where `request` was granted.
        unsafe {
            match self.unit {
                Unit::Cpu(_) => ec2train_amx_multiply_split(&product, split_is_left),
                Unit::Imitation => ec2train_amx_multiply_split_emulated(&product, split_is_left),
            }
        }
    }
}
