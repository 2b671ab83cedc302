//! Bytes of several rows, each row by its weight, summed up.

use std::ops::Range;

use pulp::Simd;

use crate::kernels::isa::Kernel;

/// `out = sum of weights * rows`, rounded to the nearest byte.
pub(super) struct WeightedSum<'a> {
    /// Fixed-point numbers, one for each row.
    pub(super) weights: &'a [i16],
    /// Their bits behind the point, at least 1.
    pub(super) precision: u32,
    /// `[rows, row_bytes]`; there may be more of them.
    pub(super) rows: &'a [u8],
    pub(super) row_bytes: usize,
    /// Bytes of a row that are summed, at least.
    pub(super) columns: Range<usize>,
    /// `[row_bytes]`
    pub(super) out: &'a mut [u8],
}

/// Bytes of a row that are summed at once.
const GROUP: usize = 64;

impl Kernel for WeightedSum<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let WeightedSum { weights, precision, rows, row_bytes, columns, out } = self;
        let group = |first: usize| Group { weights, precision, rows: &rows[first..], row_bytes };
        if row_bytes < GROUP {
            for column in columns {
                out[column] = group(column).byte();
            }
            return;
        }
        for first in columns.step_by(GROUP) {
            // The last ones may be summed twice, or some beside them.
            let first = first.min(row_bytes - GROUP);
            group(first).sum(simd, &mut out[first..].as_chunks_mut().0[0]);
        }
    }
}

/// Some columns of the rows.
#[derive(Clone, Copy)]
struct Group<'a> {
    weights: &'a [i16],
    precision: u32,
    /// From the first of the columns on.
    rows: &'a [u8],
    row_bytes: usize,
}

impl Group<'_> {
    #[inline(always)]
    fn sum<S: Simd>(self, simd: S, out: &mut [u8; GROUP]) {
        #[cfg(target_arch = "x86_64")]
        if let Some(simd) = crate::kernels::avx2::avx2(simd) {
            return self.sum_avx2(simd, out);
        }
        let _ = simd;
        for (place, out) in out.iter_mut().enumerate() {
            *out = Group { rows: &self.rows[place..], ..self }.byte();
        }
    }

    /// The first of the columns.
    #[inline(always)]
    fn byte(self) -> u8 {
        let values = self.rows.iter().step_by(self.row_bytes);
        let products =
            values.zip(self.weights).map(|(&value, &weight)| i32::from(value) * i32::from(weight));
        let sum = (1 << (self.precision - 1)) + products.sum::<i32>();
        (sum >> self.precision).clamp(0, 255) as u8
    }

    /// Two rows at a time.
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    fn sum_avx2(self, simd: pulp::x86::V3, out: &mut [u8; GROUP]) {
        use std::arch::x86_64::__m256i;

        let avx2 = simd.avx2;
        let zero: __m256i = bytemuck::cast([0_u8; 32]);
        let half: __m256i = bytemuck::cast([1_i32 << (self.precision - 1); 8]);
        // Of either half of the columns, eight sums in each vector.
        let mut sums = [[half; 4]; 2];
        for (pair, weights) in self.weights.chunks(2).enumerate() {
            let first = &self.rows[2 * pair * self.row_bytes..];
            // Times zero where there is none.
            let (second, weights) = match *weights {
                [weight, next] => (&first[self.row_bytes..], [weight, next]),
                _ => (first, [weights[0], 0]),
            };
            let weights: __m256i = bytemuck::cast([bytemuck::cast::<[i16; 2], i32>(weights); 8]);
            let (first, second) = (first.as_chunks::<GROUP>().0[0], second.as_chunks().0[0]);
            let first: [__m256i; 2] = bytemuck::cast(first);
            let second: [__m256i; 2] = bytemuck::cast::<[u8; GROUP], _>(second);
            for ((sums, first), second) in sums.iter_mut().zip(first).zip(second) {
                let low = avx2._mm256_unpacklo_epi8(first, second);
                let high = avx2._mm256_unpackhi_epi8(first, second);
                let pairs = [
                    avx2._mm256_unpacklo_epi8(low, zero),
                    avx2._mm256_unpackhi_epi8(low, zero),
                    avx2._mm256_unpacklo_epi8(high, zero),
                    avx2._mm256_unpackhi_epi8(high, zero),
                ];
                for (sum, pairs) in sums.iter_mut().zip(pairs) {
                    *sum = avx2._mm256_add_epi32(*sum, avx2._mm256_madd_epi16(pairs, weights));
                }
            }
        }
        let precision = bytemuck::cast([i64::from(self.precision), 0]);
        let mut halves = [zero; 2];
        for (half, sums) in halves.iter_mut().zip(sums) {
            let [a, b, c, d] = sums;
            let a = avx2._mm256_sra_epi32(a, precision);
            let b = avx2._mm256_sra_epi32(b, precision);
            let c = avx2._mm256_sra_epi32(c, precision);
            let d = avx2._mm256_sra_epi32(d, precision);
            // What was unpacked within 16 bytes is packed within them again.
            let low = avx2._mm256_packs_epi32(a, b);
            let high = avx2._mm256_packs_epi32(c, d);
            *half = avx2._mm256_packus_epi16(low, high);
        }
        *out = bytemuck::cast(halves);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::isa::Isa;

    #[test]
    fn any_instructions_give_the_same_bytes() {
        let rows: Vec<u8> = (0..9 * 300).map(|place| (place * place / 7) as u8).collect();
        for (weights, row_bytes) in [
            ([3641; 9].as_slice(), 300),
            (&[8192, 16384, 8192], 131),
            (&[16384, 16383], 64),
            (&[32767], 63),
        ] {
            let columns = 5..row_bytes - 2;
            let outs: Vec<Vec<u8>> = Isa::supported()
                .into_iter()
                .chain([Isa::Portable])
                .map(|isa| {
                    let mut out = vec![0; row_bytes];
                    let columns = columns.clone();
                    let (rows, out_row) = (rows.as_slice(), out.as_mut_slice());
                    isa.run(WeightedSum {
                        weights,
                        precision: 15,
                        rows,
                        row_bytes,
                        columns,
                        out: out_row,
                    });
                    out[5..row_bytes - 2].to_vec()
                })
                .collect();
            let expected = columns.map(|column| {
                let values = rows[column..].iter().step_by(row_bytes);
                let sum: f64 =
                    values.zip(weights).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum();
                (sum / 32768.0 + 0.5).floor().min(255.0) as u8
            });
            let expected: Vec<u8> = expected.collect();
            assert!(outs.iter().all(|out| *out == expected), "{row_bytes}");
        }
    }
}
