//! Features of a split with their targets.

/// One row per image.
#[derive(Debug, Clone, PartialEq)]
pub struct FeatureMatrix {
    /// Columns.
    pub num_features: usize,
    /// `[N, F]` f32, row by row.
    pub values: Vec<f32>,
    /// `[N]` class ids.
    pub targets: Vec<usize>,
}

impl FeatureMatrix {
    /// No rows yet.
    pub fn new(num_features: usize) -> Self {
        FeatureMatrix::with_capacity(num_features, 0)
    }

    /// No rows yet, but room for `num_rows`.
    pub fn with_capacity(num_features: usize, num_rows: usize) -> Self {
        FeatureMatrix {
            num_features,
            values: Vec::with_capacity(num_rows * num_features),
            targets: Vec::with_capacity(num_rows),
        }
    }

    /// Adds the features `[F]` of one image.
    pub fn push(&mut self, row: &[f32], target: usize) {
        debug_assert_eq!(row.len(), self.num_features);
        self.values.extend_from_slice(row);
        self.targets.push(target);
    }

    /// The features `[F]` of each image.
    pub fn rows(&self) -> impl Iterator<Item = &[f32]> {
        self.values.chunks_exact(self.num_features)
    }
}
