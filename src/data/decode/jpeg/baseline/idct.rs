//! The inverse discrete cosine transform of 8x8 blocks.
//!
//! Integers of 12 bits behind the point, rounded as `zune-jpeg` does: first the columns, then the
//! rows. There the transform is that of libjpeg (Loeffler, Ligtenberg, Moschytz 1989), whose
//! intermediate results depend on each other; here it is multiplied out, which gives the same
//! integers: two products at a time are one instruction.

use pulp::Simd;

use super::block::Block;

/// Bits behind the point of the factors.
const BITS: i32 = 12;
/// What the coefficients 0, 2, 4 and 6 contribute to the samples 0 to 3, and, mirrored, 7 to 4.
const EVEN: [[i16; 4]; 4] = [
    [4096, 5352, 4096, 2217],
    [4096, 2217, -4096, -5350],
    [4096, -2217, -4096, 5350],
    [4096, -5352, 4096, -2217],
];
/// The same of the coefficients 1, 3, 5 and 7; mirrored, they count negatively.
const ODD: [[i16; 4]; 4] = [
    [5683, 4816, 3219, 1131],
    [4816, -1129, -5681, -3218],
    [3219, -5681, 1132, 4816],
    [1131, -3218, 4816, -5680],
];
/// Columns keep two more bits for the rows: what is added before the other ones are cut off.
const COLUMN_SHIFT: i32 = BITS - 2;
const COLUMN_ADDED: i32 = 1 << (COLUMN_SHIFT - 1);
/// Rows lose these bits and the factor 8 of the transform.
const ROW_SHIFT: i32 = BITS + 2 + 3;
/// A half, the middle of the samples' range, and what `zune-jpeg` adds besides.
const ROW_ADDED: i32 = (1 << (ROW_SHIFT - 1)) + (128 << ROW_SHIFT) + 512;

/// Of coefficients whose magnitudes sum up to this along every column, what is between columns and
/// rows fits into 16 bits: a column makes it 4 * 5683 / 4096 times as large.
pub(super) const MAX_COLUMN_SUM: i32 = 5_900;

/// In which order the transform wants coefficients: rows in pairs, and of each column those two side
/// by side.
const ROW_PAIRS: [[usize; 2]; 4] = [[0, 2], [1, 3], [4, 6], [5, 7]];
const COLUMNS: [usize; 8] = [0, 2, 1, 3, 4, 6, 5, 7];

/// Where the coefficient of a row and a column lies in [`Block::coefficients`].
pub(super) const fn place_of(row: usize, column: usize) -> usize {
    let mut place = 0;
    while ROW_PAIRS[place / 16][place % 2] != row || COLUMNS[place % 16 / 2] != column {
        place += 1;
    }
    place
}

/// A block and its quantizers to samples from 0 to 255, row by row. `sums`: the largest sums of
/// magnitudes along each column so far. The samples are right up to [`MAX_COLUMN_SUM`].
#[inline(always)]
pub(super) fn inverse<S: Simd>(
    simd: S,
    block: &Block,
    quantizers: &[i16; 64],
    sums: &mut [i32; 8],
) -> [[u8; 8]; 8] {
    if let Some(dc) = block.sole_dc() {
        let dc = i32::from(dc) * i32::from(quantizers[0]);
        return [[(((dc + 4) >> 3) + 128).clamp(0, 255) as u8; 8]; 8];
    }
    #[cfg(target_arch = "x86_64")]
    if let Some(simd) = crate::kernels::avx2::avx2(simd) {
        return if block.is_smooth() {
            x86::inverse::<true>(simd, block.coefficients(), quantizers, sums)
        } else {
            x86::inverse::<false>(simd, block.coefficients(), quantizers, sums)
        };
    }
    let _ = simd;
    inverse_portable(block.coefficients(), quantizers, sums)
}

#[inline(always)]
fn inverse_portable(
    coefficients: &[i16; 64],
    quantizers: &[i16; 64],
    sums: &mut [i32; 8],
) -> [[u8; 8]; 8] {
    let mut lines = [[0; 8]; 8];
    let values = coefficients.iter().zip(quantizers).enumerate();
    for (place, (&coefficient, &quantizer)) in values {
        let (row, column) = (ROW_PAIRS[place / 16][place % 2], COLUMNS[place % 16 / 2]);
        lines[column][row] = i32::from(coefficient) * i32::from(quantizer);
    }
    for (line, sum) in lines.iter_mut().zip(sums) {
        *sum = (*sum).max(line.iter().map(|value| value.abs()).sum());
        // Beyond this nothing may overflow, whatever comes out.
        *line = transformed(line.map(|value| i32::from(value as i16)), COLUMN_ADDED, COLUMN_SHIFT);
    }
    std::array::from_fn(|row| {
        let line = lines.map(|line| i32::from(line[row] as i16));
        transformed(line, ROW_ADDED, ROW_SHIFT).map(|sample| sample.clamp(0, 255) as u8)
    })
}

/// A column or a row.
#[inline(always)]
fn transformed(line: [i32; 8], added: i32, shift: i32) -> [i32; 8] {
    let mut out = [0; 8];
    for index in 0..4 {
        let sum = |factors: &[i16; 4], first: usize| -> i32 {
            (0..4).map(|place| i32::from(factors[place]) * line[first + 2 * place]).sum()
        };
        let (even, odd) = (sum(&EVEN[index], 0) + added, sum(&ODD[index], 1));
        out[index] = (even + odd) >> shift;
        out[7 - index] = (even - odd) >> shift;
    }
    out
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    //! Eight columns or rows at once.

    use std::arch::x86_64::__m256i;

    use pulp::x86::V3;

    use super::{COLUMN_ADDED, COLUMN_SHIFT, EVEN, ODD, ROW_ADDED, ROW_SHIFT};

    /// `IS_SMOOTH`: the coefficients of rows and columns 4 to 7 are zero.
    // Neither closures nor `map`: what is called here must be compiled for these instructions too.
    #[inline(always)]
    pub(super) fn inverse<const IS_SMOOTH: bool>(
        simd: V3,
        coefficients: &[i16; 64],
        quantizers: &[i16; 64],
        sums: &mut [i32; 8],
    ) -> [[u8; 8]; 8] {
        let pairs = dequantized::<IS_SMOOTH>(simd, bytemuck::cast(*coefficients), quantizers, sums);
        let rows = transformed::<COLUMN_SHIFT, IS_SMOOTH>(simd, pairs, COLUMN_ADDED);
        let pairs = column_pairs(simd, rows);
        let columns = transformed::<ROW_SHIFT, IS_SMOOTH>(simd, pairs, ROW_ADDED);
        let (left, right) = (bytes(simd, columns, 0), bytes(simd, columns, 4));
        let [r0, r1, r4, r5] = bytemuck::cast(simd.avx2._mm256_unpacklo_epi32(left, right));
        let [r2, r3, r6, r7] = bytemuck::cast(simd.avx2._mm256_unpackhi_epi32(left, right));
        [r0, r1, r2, r3, r4, r5, r6, r7]
    }

    /// Also keeps the largest sums of magnitudes along each column.
    #[inline(always)]
    fn dequantized<const IS_SMOOTH: bool>(
        simd: V3,
        mut pairs: [__m256i; 4],
        quantizers: &[i16; 64],
        largest: &mut [i32; 8],
    ) -> [__m256i; 4] {
        let avx2 = simd.avx2;
        let quantizers: [__m256i; 4] = bytemuck::cast(*quantizers);
        let mut sums = bytemuck::cast([0; 8]);
        for index in 0..if IS_SMOOTH { 2 } else { 4 } {
            let magnitudes = avx2._mm256_abs_epi16(pairs[index]);
            let products = avx2._mm256_madd_epi16(magnitudes, quantizers[index]);
            sums = avx2._mm256_add_epi32(sums, products);
            pairs[index] = avx2._mm256_mullo_epi16(pairs[index], quantizers[index]);
        }
        *largest = bytemuck::cast(avx2._mm256_max_epi32(bytemuck::cast(*largest), sums));
        pairs
    }

    /// `pairs`: of every column (or row) coefficients 0 and 2, 1 and 3, 4 and 6, 5 and 7.
    #[inline(always)]
    fn transformed<const SHIFT: i32, const IS_SMOOTH: bool>(
        simd: V3,
        pairs: [__m256i; 4],
        added: i32,
    ) -> [__m256i; 8] {
        let avx2 = simd.avx2;
        let [c02, c13, c46, c57] = pairs;
        let mut out = [c02; 8];
        for index in 0..4 {
            let even = sum::<IS_SMOOTH>(simd, c02, c46, EVEN[index]);
            let even = avx2._mm256_add_epi32(even, bytemuck::cast([added; 8]));
            let odd = sum::<IS_SMOOTH>(simd, c13, c57, ODD[index]);
            out[index] = avx2._mm256_srai_epi32::<SHIFT>(avx2._mm256_add_epi32(even, odd));
            out[7 - index] = avx2._mm256_srai_epi32::<SHIFT>(avx2._mm256_sub_epi32(even, odd));
        }
        out
    }

    #[inline(always)]
    fn sum<const IS_SMOOTH: bool>(
        simd: V3,
        low: __m256i,
        high: __m256i,
        [a, b, c, d]: [i16; 4],
    ) -> __m256i {
        let low = simd.avx2._mm256_madd_epi16(low, bytemuck::cast([[a, b]; 8]));
        if IS_SMOOTH {
            return low;
        }
        let high = simd.avx2._mm256_madd_epi16(high, bytemuck::cast([[c, d]; 8]));
        simd.avx2._mm256_add_epi32(low, high)
    }

    /// Rows, their columns in the order of [`super::COLUMNS`], to pairs of columns.
    #[inline(always)]
    fn column_pairs(simd: V3, rows: [__m256i; 8]) -> [__m256i; 4] {
        let avx2 = simd.avx2;
        let [r0, r1, r2, r3, r4, r5, r6, r7] = rows;
        // In each half two rows of four columns.
        let (r01, r23) = (avx2._mm256_packs_epi32(r0, r1), avx2._mm256_packs_epi32(r2, r3));
        let (r45, r67) = (avx2._mm256_packs_epi32(r4, r5), avx2._mm256_packs_epi32(r6, r7));
        let left = avx2._mm256_permute2x128_si256::<0x20>(r01, r45);
        let left_below = avx2._mm256_permute2x128_si256::<0x20>(r23, r67);
        let right = avx2._mm256_permute2x128_si256::<0x31>(r01, r45);
        let right_below = avx2._mm256_permute2x128_si256::<0x31>(r23, r67);
        let [c02, c13] = even_and_odd(simd, left, left_below);
        let [c46, c57] = even_and_odd(simd, right, right_below);
        [c02, c13, c46, c57]
    }

    /// The 32-bit values at even places of both, those at odd ones.
    #[inline(always)]
    fn even_and_odd(simd: V3, a: __m256i, b: __m256i) -> [__m256i; 2] {
        let (a, b) = (bytemuck::cast(a), bytemuck::cast(b));
        let even = simd.avx._mm256_shuffle_ps::<0b10_00_10_00>(a, b);
        let odd = simd.avx._mm256_shuffle_ps::<0b11_01_11_01>(a, b);
        [bytemuck::cast(even), bytemuck::cast(odd)]
    }

    /// Four columns from this one on as bytes: rows 0 to 3 in one half, 4 to 7 in the other.
    #[inline(always)]
    fn bytes(simd: V3, columns: [__m256i; 8], first: usize) -> __m256i {
        const ROWS: [u8; 16] = [0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15];
        let avx2 = simd.avx2;
        let low = avx2._mm256_packs_epi32(columns[first], columns[first + 1]);
        let high = avx2._mm256_packs_epi32(columns[first + 2], columns[first + 3]);
        let samples = avx2._mm256_packus_epi16(low, high);
        avx2._mm256_shuffle_epi8(samples, bytemuck::cast([ROWS; 2]))
    }
}
