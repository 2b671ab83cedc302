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

    /// The head with these parameters.
    pub(super) fn head(&self, num_features: usize) -> Head {
        let weight = packing::unpack(self.weights.iter(), num_features, self.bias.len());
        Head { weight, bias: self.bias.clone() }
    }

    /// The inner product.
    pub(super) fn dot(&self, other: &Vector) -> f64 {
        self.dot_of_weights(other) + self.dot_of_bias(other)
    }

    /// Without the bias.
    pub(super) fn dot_of_weights(&self, other: &Vector) -> f64 {
        let pairs = self.weights.par_iter().zip(&other.weights);
        let parts = pairs.map(|(a, b)| dot(self.isa, a.values(), b.values()));
        parts.collect::<Vec<f64>>().iter().sum()
    }

    /// Of the bias alone.
    pub(super) fn dot_of_bias(&self, other: &Vector) -> f64 {
        dot(self.isa, &self.bias, &other.bias)
    }

    /// `self += factor * other`
    pub(super) fn add(&mut self, factor: f64, other: &Vector) {
        self.add_weights(factor, other);
        self.isa.run(Add { to: &mut self.bias, factor: factor as f32, values: &other.bias });
    }

    /// The same for the weights alone.
    pub(super) fn add_weights(&mut self, factor: f64, other: &Vector) {
        let (isa, factor) = (self.isa, factor as f32);
        let pairs = self.weights.par_iter_mut().zip(&other.weights);
        pairs.for_each(|(to, values)| {
            isa.run(Add { to: to.values_mut(), factor, values: values.values() });
        });
    }

    /// Multiplies the weights and the bias.
    pub(super) fn scale(&mut self, of_weights: f64, of_bias: f64) {
        let scale = |values: &mut [f32], factor: f64| {
            values.iter_mut().for_each(|value| *value *= factor as f32);
        };
        self.weights.par_iter_mut().for_each(|weights| scale(weights.values_mut(), of_weights));
        scale(&mut self.bias, of_bias);
    }
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

struct Add<'a> {
    to: &'a mut [f32],
    factor: f32,
    values: &'a [f32],
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
        let (mut point, other) = (Vector::of(&a), Vector::of(&b));
        assert_eq!(point.dot_of_weights(&other), expected);
        assert_eq!(point.dot(&other), expected + 5.0);
        point.add(2.0, &other);
        point.scale(0.5, 2.0);
        let found = point.head(200);
        for ((found, a), b) in found.weight.iter().zip(&a.weight).zip(&b.weight) {
            assert_eq!(*found, 0.5 * a + b);
        }
        assert_eq!(found.bias, [6.0, 12.0, 12.0]);
    }
}
