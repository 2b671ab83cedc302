//! A point or a direction in the space of a head's parameters.

use pulp::Simd;
use rayon::prelude::*;

use super::packing;
use crate::kernels::gemm::PackedWeights;
use crate::kernels::isa::{Isa, Kernel};
use crate::model::head::Head;

/// Weights and bias. Each operation gives the same bits for any number of threads.
#[derive(Debug, Clone)]
pub(super) struct Vector {
    isa: Isa,
    /// Of a block of features each.
    pub(super) weights: Vec<PackedWeights>,
    /// `[C]`
    pub(super) bias: Vec<f32>,
}

impl Vector {
    /// Of a head for scaled features.
    pub(super) fn of(head: &Head) -> Self {
        let isa = Isa::fastest();
        let num_features = head.weight.len() / head.num_classes();
        let blocks: Vec<_> = packing::blocks(num_features).collect();
        let weights = blocks.into_par_iter().map(|features| packing::pack(isa, head, features));
        Vector { isa, weights: weights.collect(), bias: head.bias.clone() }
    }

    /// Numbers, those that fill panels up included.
    pub(super) fn len(&self) -> usize {
        self.weights.iter().map(|weights| weights.values().len()).sum::<usize>() + self.bias.len()
    }

    /// The head with these parameters.
    pub(super) fn head(&self, num_features: usize) -> Head {
        let weight = packing::unpack(&self.weights, num_features, self.bias.len());
        Head { weight, bias: self.bias.clone() }
    }

    /// `self += factor * other`, of the weights alone.
    pub(super) fn add_weights(&mut self, factor: f64, other: &Vector) {
        let (isa, factor) = (self.isa, factor as f32);
        let pairs = self.weights.par_iter_mut().zip(&other.weights);
        pairs.for_each(|(to, values)| {
            isa.run(Add { to: to.values_mut(), factor, values: values.values() });
        });
    }

    /// `self = other - self`
    pub(super) fn subtract_from(&mut self, other: &Vector) {
        let subtract = |to: &mut [f32], from: &[f32]| {
            to.iter_mut().zip(from).for_each(|(to, from)| *to = from - *to);
        };
        let pairs = self.weights.par_iter_mut().zip(&other.weights);
        pairs.for_each(|(to, from)| subtract(to.values_mut(), from.values()));
        subtract(&mut self.bias, &other.bias);
    }

    /// Multiplies the weights and the bias.
    pub(super) fn scale(&mut self, factor: f64) {
        // Most steps are of length 1.
        if factor != 1.0 {
            let scale = |values: &mut [f32]| {
                values.iter_mut().for_each(|value| *value *= factor as f32);
            };
            self.weights.par_iter_mut().for_each(|weights| scale(weights.values_mut()));
            scale(&mut self.bias);
        }
    }

    /// Makes this the sum of `terms`, each times its factor, of which the first is that of the weights and the
    /// other that of the bias. All is read once.
    pub(super) fn set_to(&mut self, terms: &[([f64; 2], &Vector)]) {
        let isa = self.isa;
        self.weights.par_iter_mut().enumerate().for_each(|(block, to)| {
            let terms = terms
                .iter()
                .map(|([factor, _], vector)| (*factor as f32, vector.weights[block].values()));
            set_to(isa, to.values_mut(), &terms.collect::<Vec<_>>());
        });
        let of_bias = terms.iter().map(|([_, factor], vector)| (*factor as f32, &vector.bias[..]));
        set_to(isa, &mut self.bias, &of_bias.collect::<Vec<_>>());
    }

    /// The inner products of each of `vectors` with each of `others`, of the weights and of the bias.
    /// All is read once.
    pub(super) fn products<const LEN: usize>(
        vectors: [&Vector; LEN],
        others: &[&Vector],
    ) -> Vec<[[f64; 2]; LEN]> {
        let Some(Vector { isa, weights, .. }) = vectors.first() else { return Vec::new() };
        let blocks = (0..weights.len()).into_par_iter().map(|block| {
            let vectors = vectors.map(|vector| vector.weights[block].values());
            let others = others.iter().map(|vector| vector.weights[block].values());
            products(*isa, vectors, &others.collect::<Vec<_>>())
        });
        let mut sums = vec![[[0.0; 2]; LEN]; others.len()];
        for block in blocks.collect::<Vec<_>>() {
            for (sums, block) in sums.iter_mut().zip(block) {
                sums.iter_mut().zip(block).for_each(|(sum, value)| sum[0] += value);
            }
        }
        for (sums, other) in sums.iter_mut().zip(others) {
            for (sum, vector) in sums.iter_mut().zip(vectors) {
                sum[1] = dot(*isa, &vector.bias, &other.bias);
            }
        }
        sums
    }
}

/// Values that are gone through at once, so that those of all terms stay in the L1 cache.
const PIECE: usize = 1024;

/// Makes `to` the sum of `terms`, each times its factor.
fn set_to(isa: Isa, to: &mut [f32], terms: &[(f32, &[f32])]) {
    for (first, to) in (0..).step_by(PIECE).zip(to.chunks_mut(PIECE)) {
        to.fill(0.0);
        for &(factor, values) in terms {
            let values = &values[first..first + to.len()];
            isa.run(Add { to: &mut *to, factor, values });
        }
    }
}

/// The inner products of each of `vectors` with each of `others`.
fn products<const LEN: usize>(
    isa: Isa,
    vectors: [&[f32]; LEN],
    others: &[&[f32]],
) -> Vec<[f64; LEN]> {
    let mut sums = vec![[0.0; LEN]; others.len()];
    let len = vectors.first().map_or(0, |vector| vector.len());
    for first in (0..len).step_by(PIECE) {
        let piece = first..len.min(first + PIECE);
        for (sums, other) in sums.iter_mut().zip(others) {
            for (sum, vector) in sums.iter_mut().zip(vectors) {
                *sum += dot(isa, &vector[piece.clone()], &other[piece.clone()]);
            }
        }
    }
    sums
}

/// The inner product.
pub(super) fn dot(isa: Isa, a: &[f32], b: &[f32]) -> f64 {
    let mut sum = 0.0;
    isa.run(Dot { a, b, sum: &mut sum });
    sum
}

/// Vectors of products that are summed up in f32 before they are added in f64.
const SUMMED: usize = 64;

struct Dot<'a> {
    a: &'a [f32],
    b: &'a [f32],
    sum: &'a mut f64,
}

impl Kernel for Dot<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (a, a_rest) = S::as_simd_f32s(self.a);
        let (b, b_rest) = S::as_simd_f32s(self.b);
        for (a, b) in a.chunks(SUMMED).zip(b.chunks(SUMMED)) {
            let mut sum = simd.splat_f32s(0.0);
            for (&a, &b) in a.iter().zip(b) {
                sum = simd.mul_add_f32s(a, b, sum);
            }
            *self.sum += f64::from(simd.reduce_sum_f32s(sum));
        }
        for (&a, &b) in a_rest.iter().zip(b_rest) {
            *self.sum += f64::from(a) * f64::from(b);
        }
    }
}

/// `to += factor * values`
pub(super) struct Add<'a> {
    pub(super) to: &'a mut [f32],
    pub(super) factor: f32,
    pub(super) values: &'a [f32],
}

impl Kernel for Add<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (to, to_rest) = S::as_mut_simd_f32s(self.to);
        let (values, values_rest) = S::as_simd_f32s(self.values);
        let factor = simd.splat_f32s(self.factor);
        for (to, &value) in to.iter_mut().zip(values) {
            *to = simd.mul_add_f32s(factor, value, *to);
        }
        for (to, &value) in to_rest.iter_mut().zip(values_rest) {
            *to = self.factor.mul_add(value, *to);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_and_products_by_hand() {
        let len = 3 * 200;
        let head = |start: usize| Head {
            weight: (start..start + len).map(|value| (value % 7) as f32).collect(),
            bias: vec![1.0, 2.0, start as f32],
        };
        let (a, b) = (head(0), head(3));
        let products = a.weight.iter().zip(&b.weight).map(|(a, b)| f64::from(a * b));
        let expected: f64 = products.sum();
        let (point, other) = (Vector::of(&a), Vector::of(&b));
        let [[found]] = Vector::products([&point], &[&other])[..] else { panic!() };
        assert_eq!(found, [expected, 5.0]);
        let mut sum = point.clone();
        sum.set_to(&[([0.5, 2.0], &point), ([1.0, 4.0], &other)]);
        let found = sum.head(200);
        for ((found, a), b) in found.weight.iter().zip(&a.weight).zip(&b.weight) {
            assert_eq!(*found, 0.5 * a + b);
        }
        assert_eq!(found.bias, [6.0, 12.0, 12.0]);
        sum.add_weights(-1.0, &other);
        let found = sum.head(200);
        assert!(found.weight.iter().zip(&a.weight).all(|(found, a)| *found == 0.5 * a));
        assert_eq!(found.bias, [6.0, 12.0, 12.0]);
    }
}
