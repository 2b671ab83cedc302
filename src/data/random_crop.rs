//! Which part of an image a random crop shows.

use rand::{Rng, RngExt};

use super::section::Rectangle;

/// Draws until one fits into the image, as torchvision does.
const MAX_DRAWS: usize = 10;

/// The distribution of torchvision's `RandomResizedCrop.get_params`: the area is a uniform part of
/// the image's, from `scale`, the logarithm of width over height is uniform in that of `ratio`, the
/// place is uniform. When none of ten draws fits, the largest part in the middle whose shape `ratio`
/// allows.
pub(super) fn random_crop(
    (width, height): (u32, u32),
    scale: [f64; 2],
    ratio: [f64; 2],
    rng: &mut impl Rng,
) -> Rectangle {
    let area = f64::from(width) * f64::from(height);
    for _ in 0..MAX_DRAWS {
        let target_area = area * rng.random_range(scale[0]..=scale[1]);
        let target_ratio = rng.random_range(ratio[0].ln()..=ratio[1].ln()).exp();
        let crop_width = round((target_area * target_ratio).sqrt());
        let crop_height = round((target_area / target_ratio).sqrt());
        if (1..=width).contains(&crop_width) && (1..=height).contains(&crop_height) {
            let top = rng.random_range(0..=height - crop_height);
            let left = rng.random_range(0..=width - crop_width);
            return Rectangle { left, top, width: crop_width, height: crop_height };
        }
    }
    let image_ratio = f64::from(width) / f64::from(height);
    let (crop_width, crop_height) = if image_ratio < ratio[0] {
        (width, round(f64::from(width) / ratio[0]).min(height))
    } else if image_ratio > ratio[1] {
        (round(f64::from(height) * ratio[1]).min(width), height)
    } else {
        (width, height)
    };
    Rectangle {
        left: (width - crop_width) / 2,
        top: (height - crop_height) / 2,
        width: crop_width,
        height: crop_height,
    }
}

/// Python's `round`: halves go to the even neighbour.
fn round(value: f64) -> u32 {
    value.round_ties_even() as u32
}
