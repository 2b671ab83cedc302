//! A point or a direction in the space of a head's parameters.

use std::ops::Range;

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
            isa.run(Sum { to: to.values_mut(), terms: &terms.collect::<Vec<_>>() });
        });
        let of_bias = terms.iter().map(|([_, factor], vector)| (*factor as f32, &vector.bias[..]));
        isa.run(Sum { to: &mut self.bias, terms: &of_bias.collect::<Vec<_>>() });
    }

    /// Makes this the sum of `terms` as [`Vector::set_to`] does, and `next` where it leads from `at`.
    pub(super) fn set_to_step(
        &mut self,
        terms: &[([f64; 2], &Vector)],
        at: &Vector,
        next: &mut Vector,
    ) {
        let isa = self.isa;
        let shares = shares_mut(&mut self.weights).zip(shares_mut(&mut next.weights));
        let shares: Vec<_> = shares.collect();
        shares.into_par_iter().with_max_len(1).for_each(|((share, step), (_, next))| {
            let terms =
                terms.iter().map(|([factor, _], vector)| (*factor as f32, share.of(vector)));
            isa.run(Sum { to: step, terms: &terms.collect::<Vec<_>>() });
            let terms = [(1.0, share.of(at)), (1.0, &*step)];
            isa.run(Sum { to: next, terms: &terms });
        });
        let terms = terms.iter().map(|([_, factor], vector)| (*factor as f32, &vector.bias[..]));
        isa.run(Sum { to: &mut self.bias, terms: &terms.collect::<Vec<_>>() });
        let terms = [(1.0, &at.bias[..]), (1.0, &self.bias[..])];
        isa.run(Sum { to: &mut next.bias, terms: &terms });
    }

    /// The inner products with each of `others`, of the weights and of the bias.
    pub(super) fn products(&self, others: &[&Vector]) -> Vec<[f64; 2]> {
        let blocks = (0..self.weights.len()).into_par_iter().map(|block| {
            let others = others.iter().map(|vector| vector.weights[block].values());
            let vectors = [self.weights[block].values()];
            products(self.isa, vectors, &others.collect::<Vec<_>>())
        });
        let of_weights = add_up(blocks.collect(), others.len());
        let pairs = of_weights.into_iter().zip(others);
        pairs.map(|([sum], other)| [sum, dot(self.isa, &self.bias, &other.bias)]).collect()
    }

    /// Makes this, which is the gradient at the start of `step`, the change to `gradient`. Returns the inner
    /// products of the step, the change and the gradient with each of `others` and, at last, with the change, of
    /// the weights and of the bias. All is read once.
    pub(super) fn set_to_change(
        &mut self,
        step: &Vector,
        gradient: &Vector,
        others: &[&Vector],
    ) -> Vec<[[f64; 2]; 3]> {
        let isa = self.isa;
        let subtract = |to: &mut [f32], from: &[f32]| {
            to.iter_mut().zip(from).for_each(|(to, from)| *to = from - *to);
        };
        let shares: Vec<_> = shares_mut(&mut self.weights).collect();
        let of_shares = shares.into_par_iter().with_max_len(1).map(|(share, change)| {
            subtract(change, share.of(gradient));
            let others = others.iter().map(|vector| share.of(vector)).chain([&*change]);
            let vectors = [share.of(step), &*change, share.of(gradient)];
            products(isa, vectors, &others.collect::<Vec<_>>())
        });
        let of_weights = add_up(of_shares.collect(), others.len() + 1);
        subtract(&mut self.bias, &gradient.bias);
        let others = others.iter().copied().chain([&*self]);
        let vectors = [step, &*self, gradient];
        let pairs = of_weights.into_iter().zip(others);
        pairs
            .map(|(sums, other)| {
                let of_bias = vectors.map(|vector| dot(isa, &vector.bias, &other.bias));
                [0, 1, 2].map(|index| [sums[index], of_bias[index]])
            })
            .collect()
    }
}

/// What one thread takes of a vector at a time: so much that few blocks keep several threads as busy.
struct Share {
    block: usize,
    values: Range<usize>,
}

impl Share {
    /// These values of a vector.
    fn of<'a>(&self, vector: &'a Vector) -> &'a [f32] {
        &vector.weights[self.block].values()[self.values.clone()]
    }
}

/// Shares of a block.
const SHARES: usize = 2;

/// All shares of a vector's weights, with their values.
fn shares_mut(weights: &mut [PackedWeights]) -> impl Iterator<Item = (Share, &mut [f32])> {
    weights.iter_mut().enumerate().flat_map(|(block, weights)| {
        let values = weights.values_mut();
        // Whole pieces, but for the last.
        let len = values.len().div_ceil(SHARES * PIECE) * PIECE;
        let shares = values.chunks_mut(len.max(1)).enumerate();
        shares.map(move |(index, values)| {
            let first = index * len;
            (Share { block, values: first..first + values.len() }, values)
        })
    })
}

/// The sums of all parts, each `[num_others]`, in their order.
fn add_up<const LEN: usize>(parts: Vec<Vec<[f64; LEN]>>, num_others: usize) -> Vec<[f64; LEN]> {
    let mut sums = vec![[0.0; LEN]; num_others];
    for part in parts {
        for (sums, part) in sums.iter_mut().zip(part) {
            sums.iter_mut().zip(part).for_each(|(sum, value)| *sum += value);
        }
    }
    sums
}

/// Values that are gone through at once, so that those of some vectors stay in the L1 cache.
const PIECE: usize = 1024;

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
        let vectors = vectors.map(|vector| &vector[piece.clone()]);
        for (sums, other) in sums.iter_mut().zip(others) {
            isa.run(Dot { vectors, other: &other[piece.clone()], sums });
        }
    }
    sums
}

/// The inner product.
pub(super) fn dot(isa: Isa, a: &[f32], b: &[f32]) -> f64 {
    let mut sums = [0.0];
    isa.run(Dot { vectors: [a], other: b, sums: &mut sums });
    sums[0]
}

/// Vectors of products that are summed up in f32 before they are added in f64.
const SUMMED: usize = 64;
/// Sums that go on beside each other, since each addition waits for the one before.
const CHAINS: usize = 4;

/// Adds the inner products of `vectors` with `other` to `sums`.
struct Dot<'a, const LEN: usize> {
    vectors: [&'a [f32]; LEN],
    other: &'a [f32],
    sums: &'a mut [f64; LEN],
}

// Plain indices unroll into registers; chains of iterators do not always.
#[allow(clippy::needless_range_loop)]
impl<const LEN: usize> Kernel for Dot<'_, LEN> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let zero = simd.splat_f32s(0.0);
        let (other, other_rest) = S::as_simd_f32s(self.other);
        let mut first = 0;
        while first < other.len() {
            let other = &other[first..other.len().min(first + SUMMED)];
            let mut vectors: [&[S::f32s]; LEN] = [&[]; LEN];
            for i in 0..LEN {
                vectors[i] = &S::as_simd_f32s(self.vectors[i]).0[first..first + other.len()];
            }
            let mut sums = [[zero; CHAINS]; LEN];
            let (groups, rest) = other.as_chunks::<CHAINS>();
            for (group, values) in groups.iter().enumerate() {
                for i in 0..LEN {
                    let vector = &vectors[i][group * CHAINS..][..CHAINS];
                    for chain in 0..CHAINS {
                        sums[i][chain] =
                            simd.mul_add_f32s(vector[chain], values[chain], sums[i][chain]);
                    }
                }
            }
            for (place, &value) in (groups.len() * CHAINS..).zip(rest) {
                for i in 0..LEN {
                    sums[i][0] = simd.mul_add_f32s(vectors[i][place], value, sums[i][0]);
                }
            }
            for i in 0..LEN {
                let [a, b, c, d] = sums[i];
                let sum = simd.add_f32s(simd.add_f32s(a, b), simd.add_f32s(c, d));
                self.sums[i] += f64::from(simd.reduce_sum_f32s(sum));
            }
            first += SUMMED;
        }
        for i in 0..LEN {
            let rest = S::as_simd_f32s(self.vectors[i]).1;
            for (&a, &b) in rest.iter().zip(other_rest) {
                self.sums[i] += f64::from(a) * f64::from(b);
            }
        }
    }
}

/// Makes `to` the sum of `terms`, each times its factor.
struct Sum<'a> {
    to: &'a mut [f32],
    terms: &'a [(f32, &'a [f32])],
}

impl Kernel for Sum<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (to, to_rest) = S::as_mut_simd_f32s(self.to);
        let num_whole = to.len() * S::F32_LANES;
        let (groups, rest) = to.as_chunks_mut::<CHAINS>();
        let mut first = 0;
        for group in groups {
            let mut sums = [simd.splat_f32s(0.0); CHAINS];
            for &(factor, values) in self.terms {
                let factor = simd.splat_f32s(factor);
                let values = S::as_simd_f32s(&values[first..][..CHAINS * S::F32_LANES]).0;
                for chain in 0..CHAINS {
                    sums[chain] = simd.mul_add_f32s(factor, values[chain], sums[chain]);
                }
            }
            *group = sums;
            first += CHAINS * S::F32_LANES;
        }
        for to in rest {
            *to = simd.splat_f32s(0.0);
            for &(factor, values) in self.terms {
                let values = S::as_simd_f32s(&values[first..][..S::F32_LANES]).0;
                *to = simd.mul_add_f32s(simd.splat_f32s(factor), values[0], *to);
            }
            first += S::F32_LANES;
        }
        for (place, to) in (num_whole..).zip(to_rest) {
            *to = 0.0;
            for &(factor, values) in self.terms {
                *to = factor.mul_add(values[place], *to);
            }
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
        let [found] = point.products(&[&other])[..] else { panic!() };
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
        let mut next = point.clone();
        sum.set_to_step(&[([-0.5, 2.0], &other)], &point, &mut next);
        assert!(sum.head(200).weight.iter().zip(&b.weight).all(|(step, b)| *step == -0.5 * b));
        let next = next.head(200);
        for ((next, a), b) in next.weight.iter().zip(&a.weight).zip(&b.weight) {
            assert_eq!(*next, a - 0.5 * b);
        }
        assert_eq!(next.bias, [3.0, 6.0, 6.0]);
    }

    #[test]
    fn the_kernels_take_all_values_of_any_number() {
        for isa in Isa::supported().into_iter().chain([Isa::Portable]) {
            for len in (0..150).chain([SUMMED * isa.lanes() + 7, 3 * PIECE + 21]) {
                let ones = vec![1.0; len];
                let numbers: Vec<f32> = (1..=len).map(|number| number as f32).collect();
                let sum = (len * (len + 1) / 2) as f64;
                let near = |found: f64, expected: f64| (found - expected).abs() <= 1e-6 * expected;
                let found = products(isa, [&ones[..], &numbers], &[&ones, &numbers]);
                let squares = sum * (2 * len + 1) as f64 / 3.0;
                let expected = [[len as f64, sum], [sum, squares]];
                for (found, expected) in found.iter().flatten().zip(expected.iter().flatten()) {
                    assert!(near(*found, *expected), "{found} {expected} of {len}");
                }
                let mut to = vec![f32::NAN; len];
                isa.run(Sum { to: &mut to, terms: &[(2.0, &ones), (-3.0, &numbers)] });
                let expected = numbers.iter().map(|number| 2.0 - 3.0 * number);
                assert!(to.into_iter().eq(expected), "{} of {len}", isa.name());
            }
        }
    }
}
