//! The 64 filters of `conv1`.

use std::f64::consts::{FRAC_PI_2, PI};
use std::ops::Range;

use super::filters::{Kernel, Wave};

/// Side of conv1's kernels.
const SIDE: usize = 7;

/// Outputs that answer to contrast: waves, spots, colour borders. Half-wave rectified, then the
/// maximum over 3x3 of a grid of 2 pixels, which makes them about blind to phase.
pub const CONTRASTS: Range<usize> = 0..58;
/// Outputs that hold the blurred picture: pairs of the positive and the negative part of lightness,
/// red against green, and blue against yellow.
pub const PICTURE: Range<usize> = 58..64;

/// Weights of R, G, B after ImageNet's normalization.
type Mix = [f64; 3];

/// Rec. 601 luma, times ImageNet's standard deviations, scaled to a sum of 1.
const LIGHTNESS: Mix = [0.302_9, 0.581_6, 0.115_5];
const RED_GREEN: Mix = [0.5, -0.5, 0.0];
const BLUE_YELLOW: Mix = [-0.25, -0.25, 0.5];

/// Weights of conv1, `[64, 3, 7, 7]`.
pub fn weights() -> Vec<f32> {
    let filters = filters();
    let mut weights = Vec::with_capacity(filters.len() * 3 * SIDE * SIDE);
    for (mix, kernel) in &filters {
        for share in mix {
            weights.extend(kernel.weights.iter().map(|weight| (share * weight) as f32));
        }
    }
    weights
}

fn filters() -> Vec<(Mix, Kernel)> {
    let wave = |length, phase, sigma| Wave { length, phase, sigma, slenderness: 0.6 };
    let mut filters = Vec::new();
    let mut waves = |mix: Mix, wave: Wave, num_angles: usize| {
        for i in 0..num_angles {
            let angle = PI * i as f64 / num_angles as f64;
            filters.push((mix, Kernel::gabor(SIDE, wave, angle)));
        }
    };
    // Fine waves need no second phase: the maximum pool spans a whole one.
    waves(LIGHTNESS, wave(2.8, 0.0, 1.2), 4);
    waves(LIGHTNESS, wave(4.0, 0.0, 1.6), 8);
    for (length, sigma) in [(7.0, 2.4), (11.0, 3.2)] {
        for phase in [0.0, FRAC_PI_2] {
            waves(LIGHTNESS, wave(length, phase, sigma), 8);
        }
    }
    for mix in [RED_GREEN, BLUE_YELLOW] {
        waves(mix, wave(7.0, 0.0, 2.4), 4);
    }
    for sigma in [0.8, 1.5] {
        let spot = Kernel::spot(SIDE, sigma);
        filters.push((LIGHTNESS, spot.negated()));
        filters.push((LIGHTNESS, spot));
    }
    for mix in [RED_GREEN, BLUE_YELLOW] {
        filters.push((mix, Kernel::spot(SIDE, 1.5)));
    }
    for mix in [LIGHTNESS, RED_GREEN, BLUE_YELLOW] {
        let blur = Kernel::gaussian(SIDE, 2.0);
        let negative = blur.negated();
        filters.push((mix, blur));
        filters.push((mix, negative));
    }
    filters
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_64_filters_and_none_is_zero() {
        let weights = weights();
        assert_eq!(weights.len(), PICTURE.end * 3 * SIDE * SIDE);
        for filter in weights.chunks(3 * SIDE * SIDE) {
            assert!(filter.iter().any(|weight| weight.abs() > 1e-3));
        }
    }

    #[test]
    fn contrast_filters_are_blind_to_a_plain_surface() {
        for filter in weights()[..CONTRASTS.end * 3 * SIDE * SIDE].chunks(SIDE * SIDE) {
            assert!(filter.iter().sum::<f32>().abs() < 1e-5);
        }
    }
}
