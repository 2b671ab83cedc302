//! What the head's fit minimizes, over the whole train split.

use rayon::prelude::*;

use super::chunked_features::ChunkedFeatures;
use super::packing;
use super::pass_features::{AnyFeatures, PassFeatures};
use super::products::{Features, Products};
use super::softmax::subtract_target;
use super::vector::Vector;
use crate::error::Result;
use crate::kernels::aligned::Aligned;
#[cfg(all(feature = "native", target_arch = "x86_64"))]
use crate::kernels::amx::Amx;
use crate::kernels::isa::Isa;
use crate::metrics::{Accumulator, Metrics};

/// The mean cross-entropy on features, with its products as this CPU takes them fastest.
pub(super) enum Objective<'a> {
    Vectors(ObjectiveOf<'a, Isa>),
    #[cfg(all(feature = "native", target_arch = "x86_64"))]
    Tiles(ObjectiveOf<'a, Amx>),
}

/// Does the same with the products of an objective, whichever they are.
macro_rules! of_any {
    ($objective:expr, $of:ident => $result:expr) => {
        match $objective {
            Objective::Vectors($of) => $result,
            #[cfg(all(feature = "native", target_arch = "x86_64"))]
            Objective::Tiles($of) => $result,
        }
    };
}

impl<'a> Objective<'a> {
    pub(super) fn new(features: &'a PassFeatures, num_classes: usize) -> Self {
        let is_triangular = features.is_triangular;
        match &features.values {
            AnyFeatures::Vectors(values) => {
                Objective::Vectors(ObjectiveOf::new(values, num_classes, is_triangular))
            }
            #[cfg(all(feature = "native", target_arch = "x86_64"))]
            AnyFeatures::Tiles(values) => {
                Objective::Tiles(ObjectiveOf::new(values, num_classes, is_triangular))
            }
        }
    }

    /// `mean cross-entropy + l2_penalty / 2 * |W|^2` at a point, whose gradient is written to
    /// `gradient`. The same bits for any number of threads.
    ///
    /// # Errors
    /// When features cannot be read.
    pub(super) fn evaluate(
        &mut self,
        at: &Vector,
        l2_penalty: f64,
        gradient: &mut Vector,
    ) -> Result<f64> {
        of_any!(self, of => {
            let loss = of.forward(at, &mut gradient.bias)?;
            Ok(loss + 0.5 * l2_penalty * of.backward(at, l2_penalty, gradient)?)
        })
    }

    /// The mean cross-entropy at a point.
    ///
    /// # Errors
    /// When features cannot be read.
    pub(super) fn loss(&mut self, at: &Vector) -> Result<f64> {
        of_any!(self, of => of.forward(at, &mut vec![0.0; of.num_classes]))
    }

    /// The logits `[N, C]` at a point.
    ///
    /// # Errors
    /// When features cannot be read.
    pub(super) fn logits(&self, at: &Vector) -> Result<Vec<f32>> {
        of_any!(self, of => of.logits(at))
    }

    /// The measures at a point.
    ///
    /// # Errors
    /// When features cannot be read.
    pub(super) fn measure(&self, at: &Vector) -> Result<Metrics> {
        let mut measures = Accumulator::default();
        let targets = of_any!(self, of => &of.features.targets);
        measures.add(&self.logits(at)?, targets);
        Ok(measures.mean())
    }
}

/// The mean cross-entropy on features.
pub(super) struct ObjectiveOf<'a, P: Products> {
    features: &'a ChunkedFeatures<P>,
    num_classes: usize,
    /// Whether no row has features past the one of its own number.
    is_triangular: bool,
    /// For each chunk of rows, the gradient by their logits.
    logit_gradients: Vec<P::LogitGradients>,
}

impl<'a, P: Products> ObjectiveOf<'a, P> {
    fn new(features: &'a ChunkedFeatures<P>, num_classes: usize, is_triangular: bool) -> Self {
        let logit_gradients = (0..features.num_chunks()).map(|chunk| {
            features.products.logit_gradients(features.rows(chunk).len(), num_classes)
        });
        let logit_gradients = logit_gradients.collect();
        ObjectiveOf { features, num_classes, is_triangular, logit_gradients }
    }

    fn products(&self) -> &'a P {
        &self.features.products
    }

    fn features(&self) -> Features<'a, P> {
        Features { chunks: self.features, is_triangular: self.is_triangular }
    }

    /// The logits `[N, C]` at a point.
    fn logits(&self, at: &Vector) -> Result<Vec<f32>> {
        let weights = self.products().weights(at);
        let num_outputs = self.products().num_outputs(self.num_classes);
        let (mut logits, mut buffer) = (Vec::new(), Aligned::default());
        for chunk in 0..self.features.num_chunks() {
            let padded = self.logits_of((at, &weights), chunk, &mut buffer)?;
            let rows = padded.chunks_exact(num_outputs).take(self.features.rows(chunk).len());
            logits.extend(rows.flat_map(|row| &row[..self.num_classes]));
        }
        Ok(logits)
    }

    /// `[rows, num_outputs]` of a chunk. Features may be read to `buffer`.
    fn logits_of(
        &self,
        at: (&Vector, &P::Weights),
        chunk: usize,
        buffer: &mut Aligned<P::Feature>,
    ) -> Result<Vec<f32>> {
        let num_rows = self.features.padded_rows(chunk);
        let num_outputs = self.products().num_outputs(self.num_classes);
        let mut logits = vec![0.0; num_rows * num_outputs];
        for row in logits.chunks_exact_mut(num_outputs) {
            row[..self.num_classes].copy_from_slice(&at.0.bias);
        }
        self.products().add_logits(self.features(), chunk, at, &mut logits, buffer)?;
        Ok(logits)
    }

    /// The mean cross-entropy; leaves the gradients by the logits, and their sum, which is that by the
    /// bias.
    fn forward(&mut self, at: &Vector, bias_gradient: &mut [f32]) -> Result<f64> {
        let (isa, num_classes, num_samples) =
            (Isa::fastest(), self.num_classes, self.features.targets.len());
        let num_outputs = self.products().num_outputs(num_classes);
        let weights = self.products().weights(at);
        let mut logit_gradients = std::mem::take(&mut self.logit_gradients);
        // Of a triangle the last have most to do.
        let chunks = self.dealt(logit_gradients.iter_mut().enumerate().rev().collect());
        let sums: Result<Vec<(usize, f64, Vec<f32>)>> = chunks
            .into_par_iter()
            .with_max_len(1)
            .map_init(Aligned::default, |buffer, (chunk, kept)| {
                let mut logits = self.logits_of((at, &weights), chunk, buffer)?;
                let targets = &self.features.targets[self.features.rows(chunk)];
                let mut loss = 0.0;
                let mut bias_gradient = vec![0.0; num_classes];
                for (padded, &target) in logits.chunks_exact_mut(num_outputs).zip(targets) {
                    let logits = &mut padded[..num_classes];
                    loss += subtract_target(isa, logits, target, num_samples);
                    for (sum, &gradient) in bias_gradient.iter_mut().zip(&*logits) {
                        *sum += gradient;
                    }
                }
                self.products().keep(&logits, targets.len(), kept);
                Ok((chunk, loss, bias_gradient))
            })
            .collect();
        self.logit_gradients = logit_gradients;
        let mut sums = sums?;
        sums.sort_by_key(|&(chunk, ..)| chunk);
        bias_gradient.fill(0.0);
        let mut loss = 0.0;
        for (_, chunk_loss, gradients) in &sums {
            loss += chunk_loss;
            bias_gradient.iter_mut().zip(gradients).for_each(|(sum, value)| *sum += value);
        }
        Ok(loss / num_samples as f64)
    }

    /// The gradient by the weights, and the square of these.
    fn backward(&self, at: &Vector, l2_penalty: f64, gradient: &mut Vector) -> Result<f64> {
        // Of a triangle the first blocks have most to do.
        let blocks =
            packing::blocks(self.features.num_features).zip(&at.weights).zip(&mut gradient.weights);
        let parts = blocks.flat_map(|((features, at), gradient)| {
            self.products().parts(features, at, gradient, self.is_triangular)
        });
        let parts = self.dealt(parts.collect()).into_par_iter().with_max_len(1);
        let squares = parts.map(|part| {
            self.products().compute(self.features(), &self.logit_gradients, part, l2_penalty)
        });
        let mut squares: Vec<_> = squares.collect::<Result<_>>()?;
        squares.sort_by_key(|(place, _)| *place);
        Ok(squares.iter().map(|(_, square)| square).sum())
    }

    /// Parts of the work in their order; those of a triangle, of which the first have most to do, in one in
    /// which each half has as much.
    fn dealt<T>(&self, parts: Vec<T>) -> Vec<T> {
        let mut parts: Vec<(usize, T)> = parts.into_iter().enumerate().collect();
        parts.sort_by_key(|(index, _)| self.is_triangular && matches!(index % 4, 1 | 2));
        parts.into_iter().map(|(_, part)| part).collect()
    }
}

#[cfg(all(test, feature = "native", target_arch = "x86_64"))]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::features::FeatureMatrix;
    use crate::kernels::arithmetic::bf16_bits;
    use crate::model::head::Head;
    use crate::train::lbfgs::{Lbfgs, StoppingCriterion};

    /// So great that few digits of the objective tell where its optimum is.
    const PENALTY: f64 = 0.1;

    /// Rows of a triangle, or whole ones, of numbers that bf16 has.
    fn split(num_rows: usize, num_classes: usize, is_triangular: bool) -> FeatureMatrix {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let num_features = if is_triangular { num_rows } else { packing::BLOCK_LEN + 21 };
        let mut split = FeatureMatrix::new(num_features);
        for row in 0..num_rows {
            let target = row % num_classes;
            let mut values: Vec<f32> = (0..num_features)
                .map(|feature| {
                    rng.random_range(-1.0..1.0) + f32::from(feature % num_classes == target)
                })
                .collect();
            for value in &mut values {
                *value = f32::from_bits(u32::from(bf16_bits(*value)) << 16);
            }
            if is_triangular {
                values[row + 1..].fill(0.0);
            }
            split.push(&values, target);
        }
        split
    }

    #[test]
    fn tiles_lead_to_the_optimum_of_vectors() {
        for (num_rows, num_classes, is_triangular) in
            [(1, 3, false), (230, 3, false), (75, 17, false), (190, 37, true), (130, 3, true)]
        {
            let split = split(num_rows, num_classes, is_triangular);
            let num_features = split.num_features;
            let of_vectors = chunked(Isa::fastest(), &split, Isa::ROWS).unwrap();
            let vectors =
                || Objective::Vectors(ObjectiveOf::new(&of_vectors, num_classes, is_triangular));
            let mut rng = ChaCha8Rng::seed_from_u64(4);
            let weights = num_classes * num_features;
            let weight = (0..weights).map(|_| rng.random_range(-0.3..0.3)).collect();
            let bias = (0..num_classes).map(|class| class as f32 / 50.0).collect();
            let start = Vector::of(&Head { weight, bias });
            for amx in [Some(Amx::imitation()), Amx::detect()].into_iter().flatten() {
                let of_tiles = chunked(amx, &split, Amx::TRIANGLE_ROWS).unwrap();
                let tiles =
                    || Objective::Tiles(ObjectiveOf::new(&of_tiles, num_classes, is_triangular));
                let [expected, found] = [vectors(), tiles()].map(|mut objective| {
                    let mut gradient = start.clone();
                    let value = objective.evaluate(&start, PENALTY, &mut gradient).unwrap();
                    let loss = objective.loss(&start).unwrap();
                    assert!((objective.measure(&start).unwrap().loss - loss).abs() < 1e-5 * loss);
                    let mut descent = Lbfgs::new(objective, 0.0, start.clone());
                    let criterion = StoppingCriterion { tolerance: 1e-9, max_steps: 40 };
                    for _ in 0..5 {
                        descent.change_penalty(PENALTY).unwrap();
                        descent.minimize(criterion, |_| Ok(true)).unwrap();
                    }
                    let [gradient, optimum] =
                        [&gradient, descent.at()].map(|it| it.head(num_features));
                    (value, gradient, optimum)
                });
                assert!((found.0 - expected.0).abs() < 1e-5 * expected.0);
                let (distance, largest) = compare(&found.1, &expected.1);
                assert!(distance < 1e-4 * largest, "{distance} where one is {largest}");
                // One row alone has no optimum: the bias has no penalty.
                if num_rows > 1 {
                    let of_weights = |head: &Head| Head { bias: Vec::new(), ..head.clone() };
                    let (distance, _) = compare(&of_weights(&found.2), &of_weights(&expected.2));
                    assert!(distance < 1e-3, "{distance} apart");
                    // The bias has no penalty that would keep it from where it changes little.
                    let [value, lowest] = [&found.2, &expected.2].map(|head| {
                        let (at, mut gradient) = (Vector::of(head), start.clone());
                        vectors().evaluate(&at, PENALTY, &mut gradient).unwrap()
                    });
                    assert!(value < lowest * (1.0 + 1e-6), "{value} where it can be {lowest}");
                }
            }
        }
    }

    fn chunked<P: Products>(
        products: P,
        split: &FeatureMatrix,
        rows: usize,
    ) -> Result<ChunkedFeatures<P>> {
        ChunkedFeatures::new(products, split.clone().into(), None, rows)
    }

    /// The largest difference, and the largest number.
    fn compare(found: &Head, expected: &Head) -> (f32, f32) {
        let numbers = |head: &Head| [&head.weight[..], &head.bias].concat();
        let (found, expected) = (numbers(found), numbers(expected));
        let largest = |numbers: &[f32]| numbers.iter().copied().map(f32::abs).fold(0.0, f32::max);
        let differences: Vec<_> = found.iter().zip(&expected).map(|(a, b)| a - b).collect();
        (largest(&differences), largest(&expected))
    }
}
