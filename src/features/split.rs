//! The features of a split, wherever they are.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use rayon::prelude::*;

use super::float_file::FloatFile;
use super::matrix::FeatureMatrix;
use crate::error::Result;

/// Rows that are written to a file at once.
const ROWS: usize = 64;

/// Features `[N, F]` f32 with their targets. Those of large splits are in a file, which the operating system keeps
/// in memory as long as nothing else wants it: what a process takes does not depend on their number.
#[derive(Debug, Clone)]
pub enum SplitFeatures {
    /// In memory.
    Memory(FeatureMatrix),
    /// On disk.
    File(FeatureFile),
}

/// Features on disk. Cheap to clone.
#[derive(Debug, Clone)]
pub struct FeatureFile {
    /// Columns.
    pub(crate) num_features: usize,
    /// `[N]` class ids.
    pub(crate) targets: Vec<usize>,
    /// `[N, F]`, row by row.
    pub(crate) values: Arc<FloatFile>,
}

impl SplitFeatures {
    /// A row `[F]` for each target, written by `read` to where it is given its number and place; in memory where
    /// all together take `max_bytes` at most, else in a file on the disk of the folder `dir`. `None` where one
    /// cannot be read.
    ///
    /// # Errors
    /// As [`FloatFile::write`].
    pub fn collect(
        num_features: usize,
        targets: Vec<usize>,
        dir: &Path,
        max_bytes: usize,
        read: impl Fn(usize, &mut [f32]) -> bool + Sync,
    ) -> Result<Option<Self>> {
        let len = targets.len() * num_features;
        if len * size_of::<f32>() <= max_bytes {
            let mut values = vec![0.0; len];
            let rows = values.par_chunks_exact_mut(num_features).enumerate();
            let is_whole = rows.map(|(row, out)| read(row, out)).reduce(|| true, |a, b| a & b);
            let matrix = FeatureMatrix { num_features, values, targets };
            return Ok(is_whole.then_some(SplitFeatures::Memory(matrix)));
        }
        let file = FloatFile::create(dir)?;
        let rows: Vec<usize> = (0..targets.len()).collect();
        let chunks = rows.par_chunks(ROWS).map_init(Vec::new, |values, rows| {
            values.resize(rows.len() * num_features, 0.0);
            let mut pairs = rows.iter().zip(values.chunks_exact_mut(num_features));
            let is_whole = pairs.all(|(&row, out)| read(row, out));
            file.write(rows[0] * num_features, values).map(|()| is_whole)
        });
        let is_whole = chunks.try_reduce(|| true, |a, b| Ok(a & b))?;
        let file = FeatureFile { num_features, targets, values: Arc::new(file) };
        Ok(is_whole.then_some(SplitFeatures::File(file)))
    }

    /// No rows.
    pub fn none(num_features: usize) -> Self {
        SplitFeatures::Memory(FeatureMatrix::new(num_features))
    }

    /// F
    pub fn num_features(&self) -> usize {
        match self {
            SplitFeatures::Memory(matrix) => matrix.num_features,
            SplitFeatures::File(file) => file.num_features,
        }
    }

    /// `[N]` class ids.
    pub fn targets(&self) -> &[usize] {
        match self {
            SplitFeatures::Memory(matrix) => &matrix.targets,
            SplitFeatures::File(file) => &file.targets,
        }
    }

    /// Some rows `[rows, F]`, which `buffer` may be needed for.
    ///
    /// # Errors
    /// As [`FloatFile::read`].
    pub fn rows<'a>(&'a self, rows: Range<usize>, buffer: &'a mut Vec<f32>) -> Result<&'a [f32]> {
        let len = self.num_features();
        let range = rows.start * len..rows.end * len;
        match self {
            SplitFeatures::Memory(matrix) => Ok(&matrix.values[range]),
            SplitFeatures::File(file) => file.values.read(range, buffer),
        }
    }

    /// The rows with these numbers, each `[F]`.
    ///
    /// # Errors
    /// As [`FloatFile::read`].
    pub fn gather<'a>(
        &'a self,
        rows: &[usize],
        buffer: &'a mut Vec<f32>,
    ) -> Result<Vec<&'a [f32]>> {
        let len = self.num_features();
        match self {
            SplitFeatures::Memory(matrix) => {
                Ok(rows.iter().map(|&row| &matrix.values[row * len..][..len]).collect())
            }
            SplitFeatures::File(file) => {
                buffer.resize(rows.len() * len, 0.0);
                let pairs = buffer.par_chunks_exact_mut(len).zip(rows);
                pairs.try_for_each(|(out, &row)| file.values.read_to(row * len, out))?;
                Ok(buffer.chunks_exact(len).collect())
            }
        }
    }

    /// Shows `visit` so many rows at a time, in their order, `[rows, F]` with their targets.
    ///
    /// # Errors
    /// As [`FloatFile::read`]; those of `visit`.
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

#[cfg(test)]
mod tests {
    use super::*;

    const NUM_FEATURES: usize = 5;
    const NUM_ROWS: usize = 2 * ROWS + 3;

    fn value(row: usize, feature: usize) -> f32 {
        (row * NUM_FEATURES + feature) as f32
    }

    fn collected(max_bytes: usize, missing: Option<usize>) -> Option<SplitFeatures> {
        let dir = tempfile::tempdir().unwrap();
        let targets = (0..NUM_ROWS).map(|row| row % 7).collect();
        let read = |row: usize, out: &mut [f32]| {
            (0..).zip(out).for_each(|(feature, out)| *out = value(row, feature));
            Some(row) != missing
        };
        SplitFeatures::collect(NUM_FEATURES, targets, dir.path(), max_bytes, read).unwrap()
    }

    #[test]
    fn rows_are_the_same_from_memory_and_from_a_file() {
        let num_bytes = NUM_ROWS * NUM_FEATURES * size_of::<f32>();
        let in_memory = collected(num_bytes, None).unwrap();
        let in_file = collected(num_bytes - 1, None).unwrap();
        assert!(matches!(in_memory, SplitFeatures::Memory(_)));
        assert!(matches!(in_file, SplitFeatures::File(_)));
        for split in [in_memory, in_file] {
            assert_eq!((split.num_features(), split.targets().len()), (NUM_FEATURES, NUM_ROWS));
            let mut buffer = Vec::new();
            let expected: Vec<f32> =
                (3 * NUM_FEATURES..9 * NUM_FEATURES).map(|it| it as f32).collect();
            assert_eq!(split.rows(3..9, &mut buffer).unwrap(), expected);
            let gathered = split.gather(&[NUM_ROWS - 1, 0, 70], &mut buffer).unwrap();
            for (row, found) in [NUM_ROWS - 1, 0, 70].into_iter().zip(gathered) {
                assert_eq!(found, (0..NUM_FEATURES).map(|it| value(row, it)).collect::<Vec<_>>());
            }
            let (mut values, mut targets) = (Vec::new(), Vec::new());
            let visit = |rows: &[f32], of_rows: &[usize]| {
                values.extend_from_slice(rows);
                targets.extend_from_slice(of_rows);
                Ok(())
            };
            split.for_each_chunk(50, visit).unwrap();
            assert!(values.into_iter().eq((0..NUM_ROWS * NUM_FEATURES).map(|it| it as f32)));
            assert_eq!(targets, split.targets());
        }
    }

    #[test]
    fn there_is_nothing_where_a_row_cannot_be_read() {
        for max_bytes in [usize::MAX, 0] {
            for missing in [0, ROWS, NUM_ROWS - 1] {
                assert!(collected(max_bytes, Some(missing)).is_none());
            }
        }
    }
}
