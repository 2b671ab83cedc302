//! The directions that the train images span, where they are fewer than there are features.
//!
//! The gradient of the loss by a class's weights is a sum of images, and the L2 penalty pulls every other
//! direction to zero: the optimal weights lie in that space. Coordinates by an orthonormal basis of it
//! keep the penalty and the course of L-BFGS as they are, with fewer numbers to go through.

use rayon::prelude::*;

use super::scaling::Scaling;
use super::vector::{Add, dot};
use crate::error::Result;
use crate::features::{FeatureMatrix, SplitFeatures};
use crate::kernels::gemm::{Contiguous, Epilogue, PackedWeights, gemm};
use crate::kernels::isa::Isa;
use crate::model::head::Head;

/// Part of the features that images may be for the detour to save time: setting out costs the square of
/// the images.
const MAX_SHARE: f64 = 0.5;
/// What is left of an image, once its part along the directions before is taken out, is a direction of its
/// own from this part of the longest image's square on. Less is mostly rounding.
const MIN_PIVOT: f64 = 1e-5;

/// The space, by the images that span it, with the coordinates of all train images in it.
pub(super) struct RowSpace {
    isa: Isa,
    num_features: usize,
    /// `[N, R]`: the pivoted Cholesky factor `L` of the inner products of the images. The R images that
    /// span the space come first, in the order in which they were taken: their coordinates are a lower
    /// triangle.
    coordinates: FeatureMatrix,
    /// The spanning images by their numbers, in their order.
    spanning: Vec<usize>,
    /// `[R, F]`: scaled features of the spanning images.
    images: PackedWeights,
    /// Of all train images.
    columns: Columns,
}

impl RowSpace {
    /// `None` where the train images are not far fewer than the features.
    ///
    /// # Errors
    /// When features cannot be read.
    pub(super) fn of(train: &SplitFeatures, scaling: &Scaling) -> Result<Option<Self>> {
        let (num_samples, num_features) = (train.targets().len(), train.num_features());
        if num_samples as f64 > MAX_SHARE * num_features as f64 {
            return Ok(None);
        }
        let isa = Isa::fastest();
        let scaled = scaled(train.rows(0..num_samples, &mut Vec::new())?, scaling);
        let columns = Columns::of(isa, &scaled, num_features);
        let products = columns.inner_products(isa, &scaled);
        let Factor { spanning, rows } = factor(isa, &products, num_samples);
        let num_coordinates = spanning.len();
        let mut is_spanning = vec![false; num_samples];
        spanning.iter().for_each(|&image| is_spanning[image] = true);
        let others = (0..num_samples).filter(|&image| !is_spanning[image]);
        let mut coordinates = FeatureMatrix::with_capacity(num_coordinates, num_samples);
        let mut images = PackedWeights::zeros(isa, num_coordinates, num_features);
        rayon::join(
            || {
                for image in spanning.iter().copied().chain(others) {
                    let row = &rows[image * num_samples..][..num_coordinates];
                    coordinates.push(row, train.targets()[image]);
                }
            },
            || {
                for (place, &image) in spanning.iter().enumerate() {
                    images.set_row(place, &scaled[image * num_features..][..num_features]);
                }
            },
        );
        Ok(Some(RowSpace { isa, num_features, coordinates, spanning, images, columns }))
    }

    /// Of the train images, `[N, R]`, in an order of their own: none has coordinates past the one that
    /// has its own number.
    pub(super) fn coordinates(&self) -> &FeatureMatrix {
        &self.coordinates
    }

    /// The coordinates `[N, R]` of other images, less what of them lies outside the space.
    ///
    /// # Errors
    /// When features cannot be read.
    pub(super) fn coordinates_of(
        &self,
        images: &SplitFeatures,
        scaling: &Scaling,
    ) -> Result<FeatureMatrix> {
        let num_features = self.coordinates.num_features;
        let targets = images.targets().to_vec();
        let mut values = Vec::with_capacity(targets.len() * num_features);
        images.for_each_chunk(PROJECTED_ROWS, |rows, _| {
            values.extend(self.project_rows(&scaled(rows, scaling)));
            Ok(())
        })?;
        Ok(FeatureMatrix { num_features, values, targets })
    }

    /// The part within the space of a head for scaled features: the same logits for all train images.
    /// Weights are `[C, R]`.
    pub(super) fn project(&self, head: &Head) -> Head {
        Head { weight: self.project_rows(&head.weight), bias: head.bias.clone() }
    }

    /// `[rows, R]` of `[rows, F]`.
    fn project_rows(&self, rows: &[f32]) -> Vec<f32> {
        let num_coordinates = self.coordinates.num_features;
        let products = self.columns.products(self.isa, rows);
        let of_all = products.chunks_exact(self.columns.num_images);
        let mut projected: Vec<f32> =
            of_all.flat_map(|row| self.spanning.iter().map(|&image| row[image])).collect();
        projected.par_chunks_exact_mut(num_coordinates).for_each(|row| self.solve(row));
        projected
    }

    /// The head for scaled features, `[C, F]`, of one in the space, `[C, R]`.
    pub(super) fn lift(&self, head: &Head) -> Head {
        let num_coordinates = self.coordinates.num_features;
        let mut weight = head.weight.clone();
        weight
            .par_chunks_exact_mut(num_coordinates)
            .for_each(|weight| self.solve_transposed(weight));
        let weight = self.combine(&weight);
        Head { weight, bias: head.bias.clone() }
    }

    /// `[rows, F]`: sums of the spanning images with factors `[rows, R]`.
    fn combine(&self, factors: &[f32]) -> Vec<f32> {
        let parts = factors.par_chunks(ROWS * self.coordinates.num_features).map(|rows| {
            multiply(self.isa, rows, self.coordinates.num_features, &self.images, self.num_features)
        });
        parts.collect::<Vec<_>>().concat()
    }

    /// A row of the triangle, and its end on the diagonal.
    fn triangle(&self, index: usize) -> (&[f32], f32) {
        let row = &self.coordinates.values[index * self.coordinates.num_features..];
        (&row[..index], row[index])
    }

    /// `values = L^-1 values`, for the triangle.
    fn solve(&self, values: &mut [f32]) {
        for index in 0..values.len() {
            let (row, pivot) = self.triangle(index);
            let known = dot(self.isa, row, &values[..index]);
            values[index] = ((f64::from(values[index]) - known) / f64::from(pivot)) as f32;
        }
    }

    /// `values = L^-T values`
    fn solve_transposed(&self, values: &mut [f32]) {
        for index in (0..values.len()).rev() {
            let (row, pivot) = self.triangle(index);
            values[index] /= pivot;
            let factor = values[index];
            self.isa.run(Add { to: &mut values[..index], factor: -factor, values: row });
        }
    }
}

/// Of rows `[N, F]`.
fn scaled(rows: &[f32], scaling: &Scaling) -> Vec<f32> {
    let num_features = scaling.num_features();
    let mut scaled = vec![0.0; rows.len()];
    scaled
        .par_chunks_exact_mut(num_features)
        .zip(rows.par_chunks_exact(num_features))
        .for_each(|(scaled, row)| scaling.apply(0, row, scaled));
    scaled
}

/// Images of a group: they fill whole vectors.
const GROUP: usize = 48;
/// Rows that one thread multiplies at a time: a multiple of the kernels' 12.
const ROWS: usize = 24;
/// Rows of other images that are projected at a time: a multiple of these.
const PROJECTED_ROWS: usize = 960;

/// Images as the right matrix of products, `[F, N]`.
struct Columns {
    num_images: usize,
    num_features: usize,
    /// Of [`GROUP`] images each.
    groups: Vec<PackedWeights>,
}

impl Columns {
    /// Of rows `[N, F]`.
    fn of(isa: Isa, rows: &[f32], num_features: usize) -> Self {
        let groups = rows.par_chunks(GROUP * num_features).map(|rows| {
            let num_images = rows.len() / num_features;
            let padded = PackedWeights::zeros(isa, 0, num_images).num_outputs();
            PackedWeights::new(isa, 1, num_features, padded, |_, feature, image| {
                if image < num_images { rows[image * num_features + feature] } else { 0.0 }
            })
        });
        let num_images = rows.len() / num_features;
        Columns { num_images, num_features, groups: groups.collect() }
    }

    /// `[rows, N]`: the inner products of rows `[rows, F]` with all images. The same bits for any number of threads.
    fn products(&self, isa: Isa, rows: &[f32]) -> Vec<f32> {
        self.products_up_to(isa, rows, |_| self.groups.len())
    }

    /// `[N, N]`: those of the images with each other; of those above the diagonal some are zero instead. `rows` are
    /// theirs.
    fn inner_products(&self, isa: Isa, rows: &[f32]) -> Vec<f32> {
        self.products_up_to(isa, rows, |first_row| (first_row + ROWS - 1) / GROUP + 1)
    }

    /// For each [`ROWS`] rows, from the first one's number on, the products with as many groups of images as
    /// `num_groups` says; zeros for the others.
    fn products_up_to(
        &self,
        isa: Isa,
        rows: &[f32],
        num_groups: impl Fn(usize) -> usize + Sync,
    ) -> Vec<f32> {
        let Columns { num_images, num_features, groups } = self;
        let mut products = vec![0.0; rows.len() / num_features * num_images];
        let parts = products.par_chunks_mut(ROWS * num_images);
        parts.zip(rows.par_chunks(ROWS * num_features)).enumerate().for_each(
            |(chunk, (products, rows))| {
                let num_groups = num_groups(chunk * ROWS).min(groups.len());
                for (first, images) in (0..).step_by(GROUP).zip(&groups[..num_groups]) {
                    let len = GROUP.min(num_images - first);
                    let part = multiply(isa, rows, *num_features, images, len);
                    for (row, part) in
                        products.chunks_exact_mut(*num_images).zip(part.chunks_exact(len))
                    {
                        row[first..first + len].copy_from_slice(part);
                    }
                }
            },
        );
        products
    }
}

/// What a factorization found.
struct Factor {
    /// The R rows that were taken, in their order.
    spanning: Vec<usize>,
    /// `[N, N]`, of which the first R columns hold the factor.
    rows: Vec<f32>,
}

/// Cholesky's factor of `products`, `[N, N]`, of which nothing above the diagonal is looked at, with pivots, by
/// columns: each time the row is taken of which most is left.
fn factor(isa: Isa, products: &[f32], num_rows: usize) -> Factor {
    let mut left: Vec<f64> =
        (0..num_rows).map(|row| f64::from(products[row * num_rows + row])).collect();
    let least = MIN_PIVOT * left.iter().copied().fold(0.0, f64::max);
    let mut factor = vec![0.0f32; num_rows * num_rows];
    let mut spanning: Vec<usize> = Vec::new();
    let mut pivot_row = Vec::with_capacity(num_rows);
    while spanning.len() < num_rows {
        let largest = |&a: &usize, &b: &usize| left[a].total_cmp(&left[b]).then(b.cmp(&a));
        let Some(image) = (0..num_rows).max_by(largest).filter(|&image| left[image] > least) else {
            break;
        };
        let column = spanning.len();
        pivot_row.clear();
        pivot_row.extend_from_slice(&factor[image * num_rows..][..column]);
        let pivot = left[image].sqrt();
        let rows = factor.par_chunks_exact_mut(num_rows).zip(left.par_iter_mut()).enumerate();
        rows.with_min_len(64).for_each(|(row, (values, left))| {
            // Nothing is left of those that were taken.
            if *left > 0.0 {
                let known = dot(isa, &values[..column], &pivot_row);
                let product = f64::from(products[row.max(image) * num_rows + row.min(image)]);
                let value = if row == image { pivot } else { (product - known) / pivot };
                values[column] = value as f32;
                *left -= value * value;
            }
        });
        left[image] = 0.0;
        spanning.push(image);
    }
    Factor { spanning, rows: factor }
}

/// `rows * weights`, `[rows, num_outputs]`.
fn multiply(
    isa: Isa,
    rows: &[f32],
    row_len: usize,
    weights: &PackedWeights,
    num_outputs: usize,
) -> Vec<f32> {
    let mut padded = vec![0.0; rows.len() / row_len * weights.num_outputs()];
    let epilogue = Epilogue { bias: &[], add: false, relu: false };
    gemm(isa, &Contiguous { values: rows, row_len }, weights, epilogue, &mut padded);
    let rows = padded.chunks_exact(weights.num_outputs());
    rows.flat_map(|row| &row[..num_outputs]).copied().collect()
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    const NUM_FEATURES: usize = 150;

    /// Images of which the fifth is the second once more. Their targets are their numbers.
    fn images(num_images: usize) -> FeatureMatrix {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let mut train = FeatureMatrix::new(NUM_FEATURES);
        for index in 0..num_images {
            let row: Vec<f32> = (0..NUM_FEATURES).map(|_| rng.random_range(0.0..3.0)).collect();
            train.push(&row, index);
        }
        let second = train.values[NUM_FEATURES..2 * NUM_FEATURES].to_vec();
        train.values[4 * NUM_FEATURES..5 * NUM_FEATURES].copy_from_slice(&second);
        train
    }

    /// Scaled features in the space's order.
    fn ordered(train: &FeatureMatrix, scaling: &Scaling, space: &RowSpace) -> Vec<f32> {
        let mut scaled = vec![0.0; train.values.len()];
        let rows = scaled.chunks_exact_mut(NUM_FEATURES).zip(&space.coordinates().targets);
        for (scaled, &image) in rows {
            scaling.apply(0, &train.values[image * NUM_FEATURES..][..NUM_FEATURES], scaled);
        }
        scaled
    }

    fn head() -> Head {
        let mut rng = ChaCha8Rng::seed_from_u64(8);
        let weight = (0..3 * NUM_FEATURES).map(|_| rng.random_range(-1.0..1.0)).collect();
        Head { weight, bias: vec![0.5, 0.0, -1.0] }
    }

    fn assert_near(found: &[f32], expected: &[f32], tolerance: f32) {
        assert_eq!(found.len(), expected.len());
        for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
            assert!((found - expected).abs() < tolerance, "{index}: {found} and {expected}");
        }
    }

    #[test]
    fn coordinates_keep_the_inner_products_of_the_images() {
        let train = images(40);
        let scaling = Scaling::of(&train.clone().into()).unwrap();
        let space = RowSpace::of(&train.clone().into(), &scaling).unwrap().unwrap();
        // One direction fewer for the mean, and one for the copy.
        assert_eq!(space.coordinates().num_features, 38);
        let coordinates = space.coordinates();
        let inner_products = |rows: &[f32], num_features| {
            Columns::of(space.isa, rows, num_features).inner_products(space.isa, rows)
        };
        let expected = inner_products(&ordered(&train, &scaling, &space), NUM_FEATURES);
        assert_near(&inner_products(&coordinates.values, 38), &expected, 2e-3);
        for (index, row) in coordinates.rows().enumerate().take(38) {
            assert!(row[index] > 0.0 && row[index + 1..].iter().all(|&value| value == 0.0));
        }
    }

    #[test]
    fn a_projected_head_gives_the_train_images_their_logits_with_the_least_weights() {
        let train = images(40);
        let scaling = Scaling::of(&train.clone().into()).unwrap();
        let space = RowSpace::of(&train.clone().into(), &scaling).unwrap().unwrap();
        let head = head();
        let projected = space.project(&head);
        let scaled = ordered(&train, &scaling, &space);
        let expected = head.pack().logits(&scaled);
        assert_near(&projected.pack().logits(&space.coordinates().values), &expected, 1e-3);
        let lifted = space.lift(&projected);
        assert_near(&lifted.pack().logits(&scaled), &expected, 1e-3);
        let square = |weight: &[f32]| weight.iter().map(|value| value * value).sum::<f32>();
        let (whole, part) = (square(&head.weight), square(&lifted.weight));
        assert!((part - square(&projected.weight)).abs() < 1e-3 * part);
        assert!(part < 0.6 * whole, "{part} of {whole}");
        assert_near(&space.project(&lifted).weight, &projected.weight, 1e-3);
    }

    #[test]
    fn many_images_are_left_as_they_are() {
        let train = images(NUM_FEATURES / 2 + 1);
        let train = SplitFeatures::from(train);
        assert!(RowSpace::of(&train, &Scaling::of(&train).unwrap()).unwrap().is_none());
    }

    #[test]
    fn the_same_bits_for_any_number_of_threads() {
        let train = images(70);
        let scaling = Scaling::of(&train.clone().into()).unwrap();
        let on_threads = |num_threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(num_threads).build().unwrap();
            pool.install(|| {
                let space = RowSpace::of(&train.clone().into(), &scaling).unwrap().unwrap();
                let lifted = space.lift(&space.project(&head()));
                (space.coordinates, lifted)
            })
        };
        assert_eq!(on_threads(1), on_threads(3));
    }
}
