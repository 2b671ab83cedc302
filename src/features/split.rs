//! The features of a split, wherever they are.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use rayon::prelude::*;

use super::matrix::FeatureMatrix;
use super::record::Element;
use super::store::FeatureStore;
use crate::error::{Error, Result};

/// Rows that one thread reads at least.
const MIN_ROWS: usize = 8;

/// Features `[N, F]` f32 with their targets. Those of large splits stay in the store, which the operating system
/// keeps in memory as long as nothing else wants it: what a process takes does not depend on their number.
#[derive(Debug, Clone)]
pub enum SplitFeatures {
    /// In memory.
    Memory(FeatureMatrix),
    /// On disk.
    Stored(StoredFeatures),
}

/// Features `[N, 2048]` that are read from the store as they are needed.
#[derive(Debug, Clone)]
pub struct StoredFeatures {
    /// Holds all of `rows`.
    store: Arc<FeatureStore>,
    /// Content and view of each image.
    rows: Vec<(blake3::Hash, u32)>,
    /// Class id of each image.
    targets: Vec<usize>,
}

impl StoredFeatures {
    /// The disk of the folder that the features are in.
    pub(crate) fn dir(&self) -> &Path {
        self.store.path().parent().unwrap_or(Path::new("."))
    }

    /// The rows with these numbers, in `buffer`, read on all threads.
    fn read<'a>(
        &self,
        rows: impl IndexedParallelIterator<Item = usize>,
        buffer: &'a mut Vec<f32>,
    ) -> Result<&'a [f32]> {
        buffer.resize(rows.len() * f32::ROW_LEN, 0.0);
        let pairs = buffer.par_chunks_exact_mut(f32::ROW_LEN).zip(rows).with_min_len(MIN_ROWS);
        pairs.try_for_each(|(out, row)| {
            let (content, view) = &self.rows[row];
            let is_read = self.store.read(content, *view, out);
            if is_read { Ok(()) } else { Err(unreadable(&self.store)) }
        })?;
        Ok(buffer)
    }
}

impl SplitFeatures {
    /// The features of images, by content and view, with their class ids. `None` where one cannot be read.
    pub fn of(
        store: &Arc<FeatureStore>,
        rows: Vec<(blake3::Hash, u32)>,
        targets: Vec<usize>,
        in_memory: bool,
    ) -> Option<Self> {
        let num_features = f32::ROW_LEN;
        if !in_memory {
            let tried = rows.par_iter().map_init(
                || vec![0.0; num_features],
                |values, (content, view)| store.read(content, *view, values),
            );
            let is_whole = tried.reduce(|| true, |a, b| a & b);
            let store = Arc::clone(store);
            return is_whole.then_some(SplitFeatures::Stored(StoredFeatures {
                store,
                rows,
                targets,
            }));
        }
        let mut values = vec![0.0; rows.len() * num_features];
        let pairs = values.par_chunks_exact_mut(num_features).zip(&rows);
        let read = pairs.map(|(out, (content, view))| store.read(content, *view, out));
        let is_whole = read.reduce(|| true, |a, b| a & b);
        is_whole.then_some(FeatureMatrix { num_features, values, targets }.into())
    }

    /// No rows.
    pub fn none(num_features: usize) -> Self {
        FeatureMatrix::new(num_features).into()
    }

    /// F
    pub fn num_features(&self) -> usize {
        match self {
            SplitFeatures::Memory(matrix) => matrix.num_features,
            SplitFeatures::Stored(_) => f32::ROW_LEN,
        }
    }

    /// `[N]` class ids.
    pub fn targets(&self) -> &[usize] {
        match self {
            SplitFeatures::Memory(matrix) => &matrix.targets,
            SplitFeatures::Stored(stored) => &stored.targets,
        }
    }

    /// Some rows `[rows, F]`, which `buffer` may be needed for.
    ///
    /// # Errors
    /// [`Error::BadData`] with the store when they have become unreadable since they were tried.
    pub fn rows<'a>(&'a self, rows: Range<usize>, buffer: &'a mut Vec<f32>) -> Result<&'a [f32]> {
        match self {
            SplitFeatures::Memory(FeatureMatrix { num_features, values, .. }) => {
                Ok(&values[rows.start * num_features..rows.end * num_features])
            }
            SplitFeatures::Stored(stored) => stored.read(rows.into_par_iter(), buffer),
        }
    }

    /// The rows with these numbers, each `[F]`.
    ///
    /// # Errors
    /// As [`SplitFeatures::rows`].
    pub fn gather<'a>(
        &'a self,
        rows: &[usize],
        buffer: &'a mut Vec<f32>,
    ) -> Result<Vec<&'a [f32]>> {
        match self {
            SplitFeatures::Memory(FeatureMatrix { num_features, values, .. }) => {
                Ok(rows.iter().map(|&row| &values[row * num_features..][..*num_features]).collect())
            }
            SplitFeatures::Stored(stored) => {
                let rows = stored.read(rows.par_iter().copied(), buffer)?;
                Ok(rows.chunks_exact(f32::ROW_LEN).collect())
            }
        }
    }

    /// Shows `visit` so many rows at a time, in their order, `[rows, F]` with their targets.
    ///
    /// # Errors
    /// As [`SplitFeatures::rows`]; those of `visit`.
    pub fn for_each_chunk(
        &self,
        rows_per_chunk: usize,
        mut visit: impl FnMut(&[f32], &[usize]) -> Result<()>,
    ) -> Result<()> {
        let mut buffer = Vec::new();
        let mut first = 0;
        for targets in self.targets().chunks(rows_per_chunk) {
            visit(self.rows(first..first + targets.len(), &mut buffer)?, targets)?;
            first += targets.len();
        }
        Ok(())
    }
}

impl From<FeatureMatrix> for SplitFeatures {
    fn from(matrix: FeatureMatrix) -> Self {
        SplitFeatures::Memory(matrix)
    }
}

/// What to say where features that are in the store cannot be read.
pub fn unreadable(store: &FeatureStore) -> Error {
    Error::bad_data(
        store.path(),
        "features that were just written cannot be read back",
        "Start again: they are computed anew. The disk may be failing: `dmesg` shows it.",
    )
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::os::unix::fs::FileExt;

    use super::*;
    use crate::features::recipe::Recipe;

    const NUM_ROWS: usize = 3 * MIN_ROWS + 1;

    fn value(row: usize, feature: usize) -> f32 {
        (row * f32::ROW_LEN + feature) as f32
    }

    fn content(row: usize) -> blake3::Hash {
        blake3::hash(&row.to_le_bytes())
    }

    /// A store of all rows but the `missing` one.
    fn store(dir: &Path, missing: Option<usize>) -> Arc<FeatureStore> {
        let recipe =
            Recipe { transform: 1.into(), weights_sha256: "0".repeat(64), engine: "test".into() };
        let store = FeatureStore::open(dir, &recipe).unwrap();
        for row in (0..NUM_ROWS).rev().filter(|row| Some(*row) != missing) {
            let values: Vec<f32> = (0..f32::ROW_LEN).map(|feature| value(row, feature)).collect();
            store.append(&content(row), 3, &values).unwrap();
        }
        Arc::new(store)
    }

    fn split(store: &Arc<FeatureStore>, in_memory: bool) -> Option<SplitFeatures> {
        let rows = (0..NUM_ROWS).map(|row| (content(row), 3)).collect();
        SplitFeatures::of(store, rows, (0..NUM_ROWS).map(|row| row % 7).collect(), in_memory)
    }

    #[test]
    fn rows_are_the_same_from_memory_and_from_the_store() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path(), None);
        let in_memory = split(&store, true).unwrap();
        let stored = split(&store, false).unwrap();
        assert!(matches!(in_memory, SplitFeatures::Memory(_)));
        assert!(matches!(stored, SplitFeatures::Stored(_)));
        let expected: Vec<f32> = (0..NUM_ROWS * f32::ROW_LEN).map(|index| index as f32).collect();
        let expected =
            |rows: Range<usize>| &expected[rows.start * f32::ROW_LEN..rows.end * f32::ROW_LEN];
        for split in [in_memory, stored] {
            assert_eq!((split.num_features(), split.targets().len()), (f32::ROW_LEN, NUM_ROWS));
            let mut buffer = vec![1.0; 5];
            assert_eq!(
                split.rows(3..NUM_ROWS - 1, &mut buffer).unwrap(),
                expected(3..NUM_ROWS - 1)
            );
            let rows = [NUM_ROWS - 1, 0, 7];
            let gathered = split.gather(&rows, &mut buffer).unwrap();
            assert_eq!(gathered, rows.map(|row| expected(row..row + 1)));
            let (mut values, mut targets) = (Vec::new(), Vec::new());
            let visit = |rows: &[f32], of_rows: &[usize]| {
                values.extend_from_slice(rows);
                targets.extend_from_slice(of_rows);
                Ok(())
            };
            split.for_each_chunk(10, visit).unwrap();
            assert_eq!(values, expected(0..NUM_ROWS));
            assert_eq!(targets, split.targets());
        }
    }

    #[test]
    fn there_is_nothing_where_a_row_is_missing() {
        for missing in [0, MIN_ROWS, NUM_ROWS - 1] {
            let dir = tempfile::tempdir().unwrap();
            let store = store(dir.path(), Some(missing));
            assert!([true, false].iter().all(|&in_memory| split(&store, in_memory).is_none()));
        }
    }

    #[test]
    fn what_is_damaged_later_is_an_error_that_names_the_store() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path(), None);
        let split = split(&store, false).unwrap();
        let file = OpenOptions::new().write(true).open(store.path()).unwrap();
        let middle = file.metadata().unwrap().len() / 2;
        file.write_all_at(&[0xff; 3], middle).unwrap();
        let error = split.rows(0..NUM_ROWS, &mut Vec::new()).unwrap_err();
        assert_eq!(error.exit_code(), 65);
        assert!(error.to_string().contains(&*store.path().to_string_lossy()), "{error}");
    }
}
