//! Features in the order in which a descent goes through them.

use std::ops::Range;

use rayon::prelude::*;

use super::packing;
use super::scaling::Scaling;
use crate::features::FeatureMatrix;
use crate::kernels::gemm::Contiguous;

/// Features of a split in chunks of rows, each block by block: what is multiplied at once lies side by side. Of
/// whole rows the pieces of a block lie 8 KB apart, too far for the CPU to foresee: a fifth of a pass
/// was waiting for them.
pub(super) struct ChunkedFeatures {
    /// Columns.
    pub(super) num_features: usize,
    /// `[N]` class ids.
    pub(super) targets: Vec<usize>,
    /// Of every chunk but the last, which may have fewer.
    rows_per_chunk: usize,
    /// For each chunk and each of [`packing::blocks`], `[rows, features]`.
    values: Vec<f32>,
}

impl ChunkedFeatures {
    /// Puts features in this order, and scales them on the way where there is a `scaling`. They stay in
    /// the memory that they are in.
    pub(super) fn new(
        split: FeatureMatrix,
        scaling: Option<&Scaling>,
        rows_per_chunk: usize,
    ) -> Self {
        let FeatureMatrix { num_features, mut values, targets } = split;
        let chunks = values.par_chunks_mut((rows_per_chunk * num_features).max(1));
        chunks.for_each_init(Vec::new, |rows, chunk| {
            rows.clear();
            rows.extend_from_slice(chunk);
            let mut rest = chunk;
            for features in packing::blocks(num_features) {
                for row in rows.chunks_exact(num_features) {
                    let (out, after) = rest.split_at_mut(features.len());
                    let row = &row[features.clone()];
                    match scaling {
                        Some(scaling) => scaling.apply(features.start, row, out),
                        None => out.copy_from_slice(row),
                    }
                    rest = after;
                }
            }
        });
        ChunkedFeatures { num_features, targets, rows_per_chunk, values }
    }

    pub(super) fn num_chunks(&self) -> usize {
        self.targets.len().div_ceil(self.rows_per_chunk)
    }

    /// Which rows a chunk has.
    pub(super) fn rows(&self, chunk: usize) -> Range<usize> {
        let first = chunk * self.rows_per_chunk;
        first..self.targets.len().min(first + self.rows_per_chunk)
    }

    /// A block of a chunk, `[rows, features]`. `features` are one of [`packing::blocks`].
    pub(super) fn block(&self, chunk: usize, features: &Range<usize>) -> Contiguous<'_, f32> {
        let rows = self.rows(chunk);
        let first = rows.start * self.num_features + rows.len() * features.start;
        let values = &self.values[first..first + rows.len() * features.len()];
        Contiguous { values, row_len: features.len() }
    }

    /// The values of the block after this one, where chunks are gone through from the last to the first, each
    /// block by block. None are after the last.
    pub(super) fn after_in_chunk(&self, chunk: usize, features: &Range<usize>) -> &[f32] {
        let next = features.end..self.num_features.min(features.end + packing::BLOCK_LEN);
        if !next.is_empty() {
            self.block(chunk, &next).values
        } else if chunk > 0 {
            self.block(chunk - 1, &(0..self.num_features.min(packing::BLOCK_LEN))).values
        } else {
            &[]
        }
    }

    /// The same where blocks are gone through, each from the last chunk to the first.
    pub(super) fn after_in_block(&self, chunk: usize, features: &Range<usize>) -> &[f32] {
        if chunk > 0 { self.block(chunk - 1, features).values } else { &[] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_feature_is_in_its_row_of_its_block() {
        let num_features = packing::BLOCK_LEN + 3;
        for num_rows in [0, 1, 5, 12] {
            let mut split = FeatureMatrix::new(num_features);
            for target in 0..num_rows {
                let value = |feature| (feature * feature + 7 * target) as f32;
                split.push(&(0..num_features).map(value).collect::<Vec<_>>(), target);
            }
            let scaling = (num_rows > 1).then(|| Scaling::of(&split).unwrap());
            let mut expected = split.clone();
            if let Some(scaling) = &scaling {
                let rows = expected.values.chunks_exact_mut(num_features);
                rows.zip(split.rows()).for_each(|(out, row)| scaling.apply(0, row, out));
            }
            let chunked = ChunkedFeatures::new(split, scaling.as_ref(), 5);
            assert_eq!(chunked.num_chunks(), num_rows.div_ceil(5));
            let mut num_found = 0;
            for chunk in 0..chunked.num_chunks() {
                for features in packing::blocks(num_features) {
                    let Contiguous { values, row_len } = chunked.block(chunk, &features);
                    for (row, values) in chunked.rows(chunk).zip(values.chunks_exact(row_len)) {
                        let expected = &expected.values[row * num_features..][..num_features];
                        assert_eq!(values, &expected[features.clone()]);
                        num_found += values.len();
                    }
                }
            }
            assert_eq!(num_found, num_rows * num_features);
            assert_eq!(chunked.targets, expected.targets);
        }
    }

    #[test]
    fn each_block_is_followed_by_the_next_that_is_gone_through() {
        let num_features = 2 * packing::BLOCK_LEN + 3;
        let split = FeatureMatrix {
            num_features,
            values: (0..12 * num_features).map(|value| value as f32).collect(),
            targets: vec![0; 12],
        };
        let chunked = ChunkedFeatures::new(split, None, 5);
        let blocks: Vec<_> = packing::blocks(num_features).collect();
        let chunks: Vec<_> = (0..chunked.num_chunks()).rev().collect();
        let at = |&(chunk, block): &(usize, usize)| chunked.block(chunk, &blocks[block]).values;
        let by_chunk: Vec<_> = chunks.iter().flat_map(|&it| [(it, 0), (it, 1), (it, 2)]).collect();
        let block_of = |block| chunks.iter().map(move |&chunk| (chunk, block));
        let by_block: Vec<Vec<_>> = (0..3).map(|block| block_of(block).collect()).collect();
        let next = |order: &[_], place: usize| order.get(place + 1).map_or(&[][..], at).to_vec();
        for (place, &(chunk, block)) in by_chunk.iter().enumerate() {
            let found = chunked.after_in_chunk(chunk, &blocks[block]);
            assert_eq!(found, next(&by_chunk, place));
        }
        for order in by_block {
            for (place, &(chunk, block)) in order.iter().enumerate() {
                assert_eq!(chunked.after_in_block(chunk, &blocks[block]), next(&order, place));
            }
        }
    }
}
