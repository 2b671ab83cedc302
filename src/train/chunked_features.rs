//! Features in the order in which a descent goes through them.

use std::ops::Range;

use rayon::prelude::*;

use super::packing;
use super::scaling::Scaling;
use crate::error::Result;
use crate::features::{FeatureMatrix, FloatFile, SplitFeatures};
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
    values: Values,
}

/// For each chunk and each of [`packing::blocks`], `[rows, features]`.
enum Values {
    Memory(Vec<f32>),
    File(FloatFile),
}

impl ChunkedFeatures {
    /// Puts features in this order, and scales them on the way where there is a `scaling`. They stay in
    /// the memory that they are in, or on the disk.
    ///
    /// # Errors
    /// When features cannot be read, or be written to the disk.
    pub(super) fn new(
        split: SplitFeatures,
        scaling: Option<&Scaling>,
        rows_per_chunk: usize,
    ) -> Result<Self> {
        let num_features = split.num_features();
        let (targets, values) = match split {
            SplitFeatures::Memory(FeatureMatrix { mut values, targets, .. }) => {
                let chunks = values.par_chunks_mut((rows_per_chunk * num_features).max(1));
                chunks.for_each_init(Vec::new, |rows, chunk| {
                    rows.clear();
                    rows.extend_from_slice(chunk);
                    put_in_order(rows, num_features, scaling, chunk);
                });
                (targets, Values::Memory(values))
            }
            SplitFeatures::Stored(ref stored) => {
                let file = FloatFile::create(stored.dir())?;
                let num_rows = split.targets().len();
                let starts: Vec<usize> = (0..num_rows).step_by(rows_per_chunk).collect();
                starts.par_iter().try_for_each_init(Default::default, |buffers, &first| {
                    let (rows, chunk): &mut (Vec<f32>, Vec<f32>) = buffers;
                    let end = num_rows.min(first + rows_per_chunk);
                    let rows = split.rows(first..end, rows)?;
                    chunk.resize(rows.len(), 0.0);
                    put_in_order(rows, num_features, scaling, chunk);
                    file.write(first * num_features, chunk)
                })?;
                (split.targets().to_vec(), Values::File(file))
            }
        };
        Ok(ChunkedFeatures { num_features, targets, rows_per_chunk, values })
    }

    pub(super) fn num_chunks(&self) -> usize {
        self.targets.len().div_ceil(self.rows_per_chunk)
    }

    /// Which rows a chunk has.
    pub(super) fn rows(&self, chunk: usize) -> Range<usize> {
        let first = chunk * self.rows_per_chunk;
        first..self.targets.len().min(first + self.rows_per_chunk)
    }

    /// Where a block of a chunk, `[rows, features]`, is. `features` are one of [`packing::blocks`].
    fn place(&self, chunk: usize, features: &Range<usize>) -> Range<usize> {
        let rows = self.rows(chunk);
        let first = rows.start * self.num_features + rows.len() * features.start;
        first..first + rows.len() * features.len()
    }

    /// A block of a chunk, `[rows, features]`, which `buffer` may be needed for. `features` are one of
    /// [`packing::blocks`].
    ///
    /// # Errors
    /// When features cannot be read.
    pub(super) fn block<'a>(
        &'a self,
        chunk: usize,
        features: &Range<usize>,
        buffer: &'a mut Vec<f32>,
    ) -> Result<Contiguous<'a, f32>> {
        let place = self.place(chunk, features);
        let values = match &self.values {
            Values::Memory(values) => &values[place],
            Values::File(file) => file.read(place, buffer)?,
        };
        Ok(Contiguous { values, row_len: features.len() })
    }

    /// The values of the block after this one, where chunks are gone through from the last to the first, each
    /// block by block. None are after the last, nor where they would have to be read first.
    pub(super) fn after_in_chunk(&self, chunk: usize, features: &Range<usize>) -> &[f32] {
        let next = features.end..self.num_features.min(features.end + packing::BLOCK_LEN);
        if !next.is_empty() {
            self.in_memory(chunk, &next)
        } else if chunk > 0 {
            self.in_memory(chunk - 1, &(0..self.num_features.min(packing::BLOCK_LEN)))
        } else {
            &[]
        }
    }

    /// The same where blocks are gone through, each from the last chunk to the first.
    pub(super) fn after_in_block(&self, chunk: usize, features: &Range<usize>) -> &[f32] {
        if chunk > 0 { self.in_memory(chunk - 1, features) } else { &[] }
    }

    /// The values of a block, if they need not be read.
    fn in_memory(&self, chunk: usize, features: &Range<usize>) -> &[f32] {
        match &self.values {
            Values::Memory(values) => &values[self.place(chunk, features)],
            Values::File(_) => &[],
        }
    }
}

/// Writes rows `[rows, F]` to `out` block by block, scaled where there is a `scaling`.
fn put_in_order(rows: &[f32], num_features: usize, scaling: Option<&Scaling>, out: &mut [f32]) {
    let mut rest = out;
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
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::config::NUM_FEATURES;
    use crate::features::recipe::Recipe;
    use crate::features::store::FeatureStore;

    /// Each row in a store in `dir` besides, from which it is read.
    fn stored(split: &FeatureMatrix, dir: &Path) -> SplitFeatures {
        let recipe =
            Recipe { transform: 1.into(), weights_sha256: "0".repeat(64), engine: "test".into() };
        let store = Arc::new(FeatureStore::open(dir, &recipe).unwrap());
        let contents = (0..split.targets.len()).map(|row| blake3::hash(&row.to_le_bytes()));
        let rows: Vec<_> = contents.map(|content| (content, 0)).collect();
        for (values, (content, view)) in split.rows().zip(&rows) {
            store.append(content, *view, values).unwrap();
        }
        SplitFeatures::of(&store, rows, split.targets.clone(), false).unwrap()
    }

    #[test]
    fn every_feature_is_in_its_row_of_its_block() {
        for num_rows in [0, 1, 5, 12] {
            let dir = tempfile::tempdir().unwrap();
            // The last block has fewer features.
            check_order(num_rows, packing::BLOCK_LEN + 3, |split| split.clone().into());
            check_order(num_rows, NUM_FEATURES, |split| stored(split, dir.path()));
        }
    }

    fn check_order(
        num_rows: usize,
        num_features: usize,
        keep: impl Fn(&FeatureMatrix) -> SplitFeatures,
    ) {
        let mut split = FeatureMatrix::new(num_features);
        for target in 0..num_rows {
            let value = |feature| (feature * feature + 7 * target) as f32;
            split.push(&(0..num_features).map(value).collect::<Vec<_>>(), target);
        }
        let scaling = (num_rows > 1).then(|| Scaling::of(&split.clone().into()).unwrap());
        let mut expected = split.clone();
        if let Some(scaling) = &scaling {
            let rows = expected.values.chunks_exact_mut(num_features);
            rows.zip(split.rows()).for_each(|(out, row)| scaling.apply(0, row, out));
        }
        let chunked = ChunkedFeatures::new(keep(&split), scaling.as_ref(), 5).unwrap();
        assert_eq!(chunked.num_chunks(), num_rows.div_ceil(5));
        let (mut num_found, mut buffer) = (0, Vec::new());
        for chunk in 0..chunked.num_chunks() {
            for features in packing::blocks(num_features) {
                let block = chunked.block(chunk, &features, &mut buffer).unwrap();
                let values = block.values.chunks_exact(block.row_len);
                for (row, values) in chunked.rows(chunk).zip(values) {
                    let expected = &expected.values[row * num_features..][..num_features];
                    assert_eq!(values, &expected[features.clone()]);
                    num_found += values.len();
                }
            }
        }
        assert_eq!(num_found, num_rows * num_features);
        assert_eq!(chunked.targets, expected.targets);
    }

    #[test]
    fn each_block_is_followed_by_the_next_that_is_gone_through() {
        let num_features = 2 * packing::BLOCK_LEN + 3;
        let split = FeatureMatrix {
            num_features,
            values: (0..12 * num_features).map(|value| value as f32).collect(),
            targets: vec![0; 12],
        };
        let chunked = ChunkedFeatures::new(split.into(), None, 5).unwrap();
        let blocks: Vec<_> = packing::blocks(num_features).collect();
        let chunks: Vec<_> = (0..chunked.num_chunks()).rev().collect();
        let at = |&(chunk, block): &(usize, usize)| chunked.in_memory(chunk, &blocks[block]);
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
                let found = chunked.after_in_block(chunk, &blocks[block]);
                assert_eq!(found, next(&order, place));
            }
        }
    }
}
