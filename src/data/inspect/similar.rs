//! Pictures that look alike, among all of a data set.
//!
//! Every pair is compared. The 200 million pairs of 20,000 pictures take 1.2 s of one core of an EPYC of
//! the fourth generation, a twentieth of what decoding the pictures takes there. An index of hashes
//! would have to look almost everywhere: a quarter of all bits may differ.

use pulp::Simd;
use rayon::prelude::*;

use super::fingerprint::{Bits, Fingerprint, MAX_DISTANCE, MIN_CORRELATION, NUM_WORDS};
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
    let tiles = tiles(fingerprints);
    let isa = Isa::fastest();
    let mut groups = Groups::new(fingerprints.len());
    for start in (0..fingerprints.len()).step_by(BLOCK) {
        let block = start..fingerprints.len().min(start + BLOCK);
        // What is in one group already need not be looked at again: a thousand copies of a picture
        // cost as much as a thousand pictures.
        let roots: Vec<usize> = (0..fingerprints.len()).map(|index| groups.root(index)).collect();
        let alike: Vec<(usize, usize, bool)> = block
            .into_par_iter()
            .flat_map_iter(|index| alike(isa, fingerprints, &tiles, &roots, index))
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
    tiles: &[Tile],
    roots: &[usize],
    index: usize,
) -> Vec<(usize, usize, bool)> {
    let own = &fingerprints[index];
    let wanted = [own.bits, own.mirrored];
    let first_tile = index / LANES;
    let mut near = Vec::new();
    isa.run(Near { wanted, tiles: &tiles[first_tile..], near: &mut near });
    near.into_iter()
        .map(|place| first_tile * LANES + place)
        .filter(|&other| other > index && roots[index] != roots[other])
        .filter_map(|other| {
            let bits = &fingerprints[other].bits;
            let [unchanged, mirrored] = wanted.map(|wanted| distance(&wanted, bits));
            let is_mirrored = mirrored < unchanged;
            let is_alike = own.correlation(&fingerprints[other], is_mirrored) >= MIN_CORRELATION;
            is_alike.then_some((index, other, is_mirrored))
        })
        .collect()
}

/// Hashes side by side.
const LANES: usize = 64;

/// [`LANES`] hashes, word by word, so that a vector holds the same word of several.
type Tile = [[u64; LANES]; NUM_WORDS];

/// The hashes in order. Those that fill the last tile are all zeros: they are far from every other,
/// since half of a hash's bits are set.
fn tiles(fingerprints: &[Fingerprint]) -> Vec<Tile> {
    let to_tile = |fingerprints: &[Fingerprint]| {
        let mut tile = [[0; LANES]; NUM_WORDS];
        for (lane, fingerprint) in fingerprints.iter().enumerate() {
            for (column, &word) in tile.iter_mut().zip(&fingerprint.bits) {
                column[lane] = word;
            }
        }
        tile
    };
    fingerprints.chunks(LANES).map(to_tile).collect()
}

/// Appends to `near` the place of each hash within the distance of one of `wanted`.
struct Near<'a> {
    wanted: [Bits; 2],
    tiles: &'a [Tile],
    near: &'a mut Vec<usize>,
}

impl Kernel for Near<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        for (number, tile) in self.tiles.iter().enumerate() {
            let mut least = [u64::MAX; LANES];
            for wanted in &self.wanted {
                let mut distances = [0u64; LANES];
                for (column, &word) in tile.iter().zip(wanted) {
                    for (distance, &bits) in distances.iter_mut().zip(column) {
                        *distance = distance.wrapping_add(u64::from((bits ^ word).count_ones()));
                    }
                }
                for (least, distance) in least.iter_mut().zip(distances) {
                    *least = distance.min(*least);
                }
            }
            let mut smallest = u64::MAX;
            for &distance in &least {
                smallest = distance.min(smallest);
            }
            if smallest <= u64::from(MAX_DISTANCE) {
                for (lane, &distance) in least.iter().enumerate() {
                    if distance <= u64::from(MAX_DISTANCE) {
                        self.near.push(number * LANES + lane);
                    }
                }
            }
        }
    }
}

/// Number of bits that differ.
fn distance(a: &Bits, b: &Bits) -> u32 {
    a.iter().zip(b).map(|(a, b)| (a ^ b).count_ones()).sum()
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
