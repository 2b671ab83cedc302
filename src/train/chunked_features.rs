//! Features in the order in which a descent goes through them.

use std::ops::Range;

use rayon::prelude::*;

use super::packing;
use super::products::Products;
use super::scaling::Scaling;
use crate::error::Result;
use crate::features::{FeatureMatrix, NumberFile, SplitFeatures};
use crate::kernels::aligned::Aligned;
use crate::kernels::arithmetic::Value;
use crate::kernels::gemm::Contiguous;

/// Chunks that are put in order before the memory that they were in is given back.
const CHUNKS_AT_ONCE: usize = 16;

/// Features of a split in chunks of rows, each block by block: what is multiplied at once lies side by side. Of
/// whole rows the pieces of a block lie 8 KB apart, too far for the CPU to foresee: a fifth of a pass
/// was waiting for them.
pub(super) struct ChunkedFeatures<P: Products> {
    /// What multiplies them.
    pub(super) products: P,
    /// Columns.
    pub(super) num_features: usize,
    /// `[N]` class ids.
    pub(super) targets: Vec<usize>,
    /// Of every chunk but the last, which may have fewer.
    rows_per_chunk: usize,
    values: Values<P::Feature>,
}

/// For each chunk and each of [`packing::blocks`], `[rows, features]`, filled up with zeros.
enum Values<V> {
    Memory(Aligned<V>),
    File(NumberFile<V>),
}

impl<P: Products> ChunkedFeatures<P> {
    /// Puts features in this order, and scales them on the way where there is a `scaling`. They stay in
    /// memory, where they take no more than before meanwhile, but for some chunks; or on the disk.
    ///
    /// # Errors
    /// When features cannot be read, or be written to the disk.
    pub(super) fn new(
        products: P,
        split: SplitFeatures,
        scaling: Option<&Scaling>,
        rows_per_chunk: usize,
    ) -> Result<Self> {
        let num_features = split.num_features();
        let num_rows = split.targets().len();
        let order = Order { products, num_features, scaling };
        let chunk_len = order.len(rows_per_chunk);
        let (targets, values) = match split {
            SplitFeatures::Memory(FeatureMatrix { mut values, targets, .. }) => {
                let rest = num_rows % rows_per_chunk;
                let len = num_rows / rows_per_chunk * chunk_len + order.len(rest);
                let mut ordered = Aligned::with_capacity(len);
                let mut left = ordered.append(len);
                let at_once = CHUNKS_AT_ONCE * rows_per_chunk;
                // From the end on, so that what has been put in order is given back.
                for first in (0..num_rows).step_by(at_once).rev() {
                    let (before, chunks) = left.split_at_mut(first / rows_per_chunk * chunk_len);
                    let rows =
                        values[first * num_features..].par_chunks(rows_per_chunk * num_features);
                    let chunks = chunks.par_chunks_mut(chunk_len);
                    chunks.zip(rows).for_each(|(out, rows)| order.put(rows, out));
                    values.truncate(first * num_features);
                    values.shrink_to_fit();
                    left = before;
                }
                (targets, Values::Memory(ordered))
            }
            SplitFeatures::Stored(ref stored) => {
                let file = NumberFile::create(stored.dir())?;
                let starts: Vec<usize> = (0..num_rows).step_by(rows_per_chunk).collect();
                starts.par_iter().try_for_each_init(Default::default, |buffers, &first| {
                    let (rows, chunk): &mut (Vec<f32>, Vec<P::Feature>) = buffers;
                    let end = num_rows.min(first + rows_per_chunk);
                    let rows = split.rows(first..end, rows)?;
                    chunk.clear();
                    chunk.resize(order.len(end - first), P::Feature::default());
                    order.put(rows, chunk);
                    file.write(first / rows_per_chunk * chunk_len, chunk)
                })?;
                (split.targets().to_vec(), Values::File(file))
            }
        };
        Ok(ChunkedFeatures { products, num_features, targets, rows_per_chunk, values })
    }

    pub(super) fn num_chunks(&self) -> usize {
        self.targets.len().div_ceil(self.rows_per_chunk)
    }

    /// Which rows a chunk has.
    pub(super) fn rows(&self, chunk: usize) -> Range<usize> {
        let first = chunk * self.rows_per_chunk;
        first..self.targets.len().min(first + self.rows_per_chunk)
    }

    /// Rows of a chunk, those that fill it up included.
    pub(super) fn padded_rows(&self, chunk: usize) -> usize {
        self.rows(chunk).len().next_multiple_of(P::ROW_STEP)
    }

    /// Where a block of a chunk, `[rows, features]`, is. `features` are one of [`packing::blocks`].
    fn place(&self, chunk: usize, features: &Range<usize>) -> Range<usize> {
        let chunk_len =
            self.rows_per_chunk.next_multiple_of(P::ROW_STEP) * width::<P>(self.num_features);
        let num_rows = self.padded_rows(chunk);
        let first = chunk * chunk_len + num_rows * width::<P>(features.start);
        first..first + num_rows * width::<P>(features.len())
    }

    /// A block of a chunk, `[rows, features]`, those that fill it up included. `buffer` may be needed for it.
    /// `features` are one of [`packing::blocks`].
    ///
    /// # Errors
    /// When features cannot be read.
    pub(super) fn block<'a>(
        &'a self,
        chunk: usize,
        features: &Range<usize>,
        buffer: &'a mut Aligned<P::Feature>,
    ) -> Result<Contiguous<'a, P::Feature>> {
        let place = self.place(chunk, features);
        let values = match &self.values {
            Values::Memory(values) => &values[place],
            Values::File(file) => {
                let values = buffer.resized(place.len());
                file.read(place.start, values)?;
                values
            }
        };
        Ok(Contiguous { values, row_len: width::<P>(features.len()) })
    }

    /// The values of the block after this one, where chunks are gone through from the last to the first, each
    /// block by block. None are after the last, nor where they would have to be read first.
    pub(super) fn after_in_chunk(&self, chunk: usize, features: &Range<usize>) -> &[P::Feature] {
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
    pub(super) fn after_in_block(&self, chunk: usize, features: &Range<usize>) -> &[P::Feature] {
        if chunk > 0 { self.in_memory(chunk - 1, features) } else { &[] }
    }

    /// The values of a block, if they need not be read.
    fn in_memory(&self, chunk: usize, features: &Range<usize>) -> &[P::Feature] {
        match &self.values {
            Values::Memory(values) => &values[self.place(chunk, features)],
            Values::File(_) => &[],
        }
    }
}

/// Values of a row of so many features, filled up.
fn width<P: Products>(num_features: usize) -> usize {
    num_features.next_multiple_of(P::FEATURE_STEP) / P::Feature::CHANNELS
}

/// How rows are put in order.
struct Order<'a, P> {
    products: P,
    num_features: usize,
    scaling: Option<&'a Scaling>,
}

impl<P: Products> Order<'_, P> {
    /// Values of so many rows.
    fn len(&self, num_rows: usize) -> usize {
        num_rows.next_multiple_of(P::ROW_STEP) * width::<P>(self.num_features)
    }

    /// Writes rows `[rows, F]` to `out` block by block, scaled where there is a scaling. What fills them up is not
    /// written.
    fn put(&self, rows: &[f32], out: &mut [P::Feature]) {
        let num_rows = out.len() / width::<P>(self.num_features);
        let mut rest = out;
        for features in packing::blocks(self.num_features) {
            let width = width::<P>(features.len());
            let (block, after) = rest.split_at_mut(num_rows * width);
            let mut padded = [0.0; packing::BLOCK_LEN];
            for (out, row) in
                block.chunks_exact_mut(width).zip(rows.chunks_exact(self.num_features))
            {
                let (row, values) = (&row[features.clone()], &mut padded[..features.len()]);
                match self.scaling {
                    Some(scaling) => scaling.apply(features.start, row, values),
                    None => values.copy_from_slice(row),
                }
                self.products.keep_features(&padded[..width * P::Feature::CHANNELS], out);
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
    use crate::kernels::isa::Isa;

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
            let isa = Isa::Portable;
            check_order(isa, num_rows, packing::BLOCK_LEN + 3, |split| split.clone().into());
            check_order(isa, num_rows, NUM_FEATURES, |split| stored(split, dir.path()));
        }
    }

    #[cfg(all(feature = "native", target_arch = "x86_64"))]
    #[test]
    fn features_for_tiles_are_rounded_and_filled_up() {
        for num_rows in [0, 1, 5, 12, 100] {
            let dir = tempfile::tempdir().unwrap();
            let amx = crate::kernels::amx::Amx::imitation();
            check_order(amx, num_rows, packing::BLOCK_LEN + 3, |split| split.clone().into());
            check_order(amx, num_rows, NUM_FEATURES, |split| stored(split, dir.path()));
        }
    }

    fn check_order<P: Products<Feature: PartialEq + std::fmt::Debug>>(
        products: P,
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
        let chunked = ChunkedFeatures::new(products, keep(&split), scaling.as_ref(), 5).unwrap();
        assert_eq!(chunked.num_chunks(), num_rows.div_ceil(5));
        let (mut num_found, mut buffer) = (0, Aligned::default());
        for chunk in 0..chunked.num_chunks() {
            for features in packing::blocks(num_features) {
                let block = chunked.block(chunk, &features, &mut buffer).unwrap();
                let mut values = block.values.chunks_exact(block.row_len);
                let mut kept = vec![P::Feature::default(); block.row_len];
                for (row, values) in chunked.rows(chunk).zip(&mut values) {
                    let expected = &expected.values[row * num_features..][..num_features];
                    let mut padded = expected[features.clone()].to_vec();
                    padded.resize(features.len().next_multiple_of(P::FEATURE_STEP), 0.0);
                    products.keep_features(&padded, &mut kept);
                    assert_eq!(values, kept);
                    num_found += features.len();
                }
                assert!(values.flatten().all(|&value| value == P::Feature::default()));
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
        let chunked = ChunkedFeatures::new(Isa::Portable, split.into(), None, 5).unwrap();
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
