//! Pictures that look alike, among all of a data set.
//!
//! Every pair is compared: 20,000 pictures are 200 million pairs of two hashes of 256 bits, which a
//! core with vectors does in less time than it takes to decode a thousand of the pictures. No index
//! of hashes is faster at this distance, a quarter of all bits.

use pulp::Simd;
use rayon::prelude::*;

use super::fingerprint::{Bits, Fingerprint, MAX_DISTANCE, MIN_CORRELATION};
use crate::kernels::isa::{Isa, Kernel};

/// Pictures that are compared with all others before groups are merged: bounds the pairs in memory.
const BLOCK: usize = 64;

/// Pictures that look alike.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Group {
    /// Indices of the fingerprints, ascending; at least two.
    pub(super) members: Vec<usize>,
    /// Whether some of them are only alike when mirrored.
    pub(super) is_mirrored: bool,
}

/// The pictures that look like another one, in groups: who looks like a member is one.
pub(super) fn find_similar(fingerprints: &[Fingerprint]) -> Vec<Group> {
    let bits: Vec<Bits> = fingerprints.iter().map(|fingerprint| fingerprint.bits).collect();
    let isa = Isa::fastest();
    let mut groups = Groups::new(fingerprints.len());
    for start in (0..fingerprints.len()).step_by(BLOCK) {
        let block = start..fingerprints.len().min(start + BLOCK);
        // What is in one group already need not be looked at again: a thousand copies of a picture
        // cost as much as a thousand pictures.
        let roots: Vec<usize> = (0..fingerprints.len()).map(|index| groups.root(index)).collect();
        let alike: Vec<(usize, usize, bool)> = block
            .into_par_iter()
            .flat_map_iter(|index| alike(isa, fingerprints, &bits, &roots, index))
            .collect();
        for (index, other, is_mirrored) in alike {
            groups.merge(index, other, is_mirrored);
        }
    }
    groups.into_groups()
}

/// Pictures after `index` that look like it, and whether they do so mirrored.
fn alike(
    isa: Isa,
    fingerprints: &[Fingerprint],
    bits: &[Bits],
    roots: &[usize],
    index: usize,
) -> Vec<(usize, usize, bool)> {
    let own = &fingerprints[index];
    let mut candidates = Vec::new();
    for (is_mirrored, wanted) in [(false, own.bits), (true, own.mirrored)] {
        let mut near = Vec::new();
        isa.run(Near { wanted, bits: &bits[index + 1..], near: &mut near });
        candidates.extend(near.into_iter().map(|place| (index + 1 + place, is_mirrored)));
    }
    candidates
        .into_iter()
        .filter(|&(other, is_mirrored)| {
            roots[index] != roots[other]
                && own.correlation(&fingerprints[other], is_mirrored) >= MIN_CORRELATION
        })
        .map(|(other, is_mirrored)| (index, other, is_mirrored))
        .collect()
}

/// Appends to `near` the place of each of `bits` within the distance of `wanted`.
struct Near<'a> {
    wanted: Bits,
    bits: &'a [Bits],
    near: &'a mut Vec<usize>,
}

impl Kernel for Near<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        for (place, bits) in self.bits.iter().enumerate() {
            let mut distance = 0;
            for word in 0..bits.len() {
                distance += (bits[word] ^ self.wanted[word]).count_ones();
            }
            if distance <= MAX_DISTANCE {
                self.near.push(place);
            }
        }
    }
}

/// Disjoint sets (Galler and Fischer 1964), with path halving.
struct Groups {
    parents: Vec<usize>,
    is_mirrored: Vec<bool>,
}

impl Groups {
    fn new(len: usize) -> Self {
        Groups { parents: (0..len).collect(), is_mirrored: vec![false; len] }
    }

    /// The least member of the group of `index`.
    fn root(&mut self, mut index: usize) -> usize {
        while self.parents[index] != index {
            self.parents[index] = self.parents[self.parents[index]];
            index = self.parents[index];
        }
        index
    }

    fn merge(&mut self, a: usize, b: usize, is_mirrored: bool) {
        let (a, b) = (self.root(a), self.root(b));
        if a != b {
            self.parents[a.max(b)] = a.min(b);
            self.is_mirrored[a.min(b)] |= self.is_mirrored[a.max(b)] | is_mirrored;
        }
    }

    fn into_groups(mut self) -> Vec<Group> {
        let mut members = vec![Vec::new(); self.parents.len()];
        for index in 0..self.parents.len() {
            members[self.root(index)].push(index);
        }
        members
            .into_iter()
            .zip(self.is_mirrored)
            .filter(|(members, _)| members.len() > 1)
            .map(|(members, is_mirrored)| Group { members, is_mirrored })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::fingerprint::tests::random;
    use super::*;

    #[test]
    fn copies_are_grouped_wherever_they_are_and_others_are_not() {
        let mut pictures: Vec<Fingerprint> = (0..500).map(random).collect();
        // A chain across blocks: each within the distance of the next, the ends of one another not.
        for (index, num_bits) in [(70, 0), (200, 60), (499, 120)] {
            pictures[index] = pictures[3].clone();
            for bit in 0..num_bits {
                pictures[index].bits[bit / 64] ^= 1 << (bit % 64);
                pictures[index].mirrored[bit / 64] ^= 1 << (bit % 64);
            }
        }
        assert_eq!(
            find_similar(&pictures),
            [Group { members: vec![3, 70, 200, 499], is_mirrored: false }]
        );
    }

    #[test]
    fn close_hashes_of_other_pictures_are_told_apart() {
        let mut pictures: Vec<Fingerprint> = (0..10).map(random).collect();
        pictures[7].bits = pictures[2].bits;
        assert!(find_similar(&pictures).is_empty());
    }

    #[test]
    fn groups_merge_whatever_the_order() {
        let mut groups = Groups::new(6);
        for (a, b, is_mirrored) in [(4, 5, true), (0, 2, false), (5, 2, false), (0, 4, false)] {
            groups.merge(a, b, is_mirrored);
        }
        let expected = [Group { members: vec![0, 2, 4, 5], is_mirrored: true }];
        assert_eq!(groups.into_groups(), expected);
    }
}
