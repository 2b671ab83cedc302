//! Which rows of an image a resized one is made of, with what weights.
//!
//! Bilinear and antialiased, with the weights and the roundings of `fast_image_resize`.

use std::ops::Range;

use crate::data::section::Section;

/// Bits of a weight, its sign apart.
const WEIGHT_BITS: u32 = 15;
/// Bits of a sum, less those of a byte and two against overflow.
const MAX_PRECISION: u32 = 21;

/// What each resized row is made of.
#[derive(Debug, Default)]
pub(super) struct Filter {
    /// Of each resized row: the first row, and where its weights are.
    pub(super) windows: Vec<(usize, Range<usize>)>,
    pub(super) weights: Vec<i16>,
    /// The weights are fixed-point numbers with so many bits behind the point, at least 1.
    pub(super) precision: u32,
}

impl Filter {
    /// Becomes that of a section, from its top to its bottom.
    pub(super) fn set(&mut self, section: &Section) {
        self.windows.clear();
        let (visible, side) = (section.visible, section.side);
        let scale = ((section.top + section.height) - section.top) / f64::from(side);
        let reach = scale.max(1.0);
        let mut weights = Vec::with_capacity(side as usize * (2 * reach.ceil() as usize + 1));
        for row in 0..side {
            let centre = section.top + (f64::from(row) + 0.5) * scale;
            let first = (centre - reach).floor().max(0.0) as u32;
            let end = (centre + reach).ceil().min(visible.height.into()) as u32;
            let start = weights.len();
            let mut first_used = first;
            let mut sum = 0.0;
            for source in first..end {
                let distance = (f64::from(source) - (centre - 0.5)) * (1.0 / reach);
                let weight = (1.0 - distance.abs()).max(0.0);
                if weight == 0.0 && source == first_used {
                    first_used += 1;
                } else {
                    weights.push(weight);
                    sum += weight;
                }
            }
            while weights.len() > start && weights.last() == Some(&0.0) {
                weights.pop();
            }
            weights[start..].iter_mut().for_each(|weight| *weight /= sum);
            self.windows.push(((visible.top + first_used) as usize, start..weights.len()));
        }
        let greatest = weights.iter().copied().fold(0.0, f64::max);
        let fits =
            |bits: &u32| (greatest * f64::from(1 << bits)).round() < f64::from(1 << WEIGHT_BITS);
        self.precision = (1..=MAX_PRECISION).take_while(fits).last().unwrap_or(1);
        let one = f64::from(1 << self.precision);
        self.weights.clear();
        self.weights.extend(weights.iter().map(|weight| (weight * one).round() as i16));
    }
}
