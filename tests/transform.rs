//! The eval transform against torchvision's output, and its properties at any size.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use ec2train::data::resize::Scratch;
use ec2train::data::transform::EvalTransform;
use image::{Rgb, RgbImage};
use proptest::prelude::*;

/// (width, height, resize, crop, step), as in tests/golden/data/generate.py.
const CASES: [(u32, u32, u32, u32, usize); 16] = [
    (1, 1, 32, 28, 1),
    (1, 7, 32, 28, 1),
    (7, 1, 32, 28, 1),
    (28, 28, 32, 28, 1),
    (32, 32, 32, 28, 1),
    (32, 35, 32, 28, 1),
    (64, 48, 32, 28, 1),
    (48, 65, 32, 28, 1),
    (203, 151, 32, 28, 1),
    (151, 203, 32, 28, 1),
    (1000, 10, 32, 28, 1),
    (10, 1000, 32, 28, 1),
    (31, 517, 32, 27, 1),
    (97, 64, 32, 32, 1),
    (500, 375, 256, 224, 8),
    (333, 500, 232, 224, 8),
];

/// The picture that generate.py draws.
fn pattern(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        Rgb([0, 1, 2].map(|c| ((x * 7 + y * 13 + c * 85 + (x * y) % 31 * 5) % 256) as u8))
    })
}

fn transform(resize: u32, crop: u32) -> EvalTransform {
    EvalTransform { resize, crop, ..EvalTransform::imagenet(resize) }
}

#[test]
fn the_crop_equals_torchvisions() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/data/resize_crop.bin");
    let golden = fs::read(golden).unwrap();
    let mut golden = golden.as_slice();
    let mut scratch = Scratch::default();
    for (width, height, resize, crop, step) in CASES {
        let crop_rgb =
            transform(resize, crop).crop_rgb(&pattern(width, height), &mut scratch).to_vec();
        let side = crop as usize;
        assert_eq!(crop_rgb.len(), side * side * 3);

        let (mut sum, mut max, mut count) = (0u64, 0, 0u64);
        for (y, x) in
            (0..side).step_by(step).flat_map(|y| (0..side).step_by(step).map(move |x| (y, x)))
        {
            let (expected, rest) = golden.split_at(3);
            golden = rest;
            for (a, b) in crop_rgb[(y * side + x) * 3..].iter().zip(expected) {
                sum += u64::from(a.abs_diff(*b));
                max = max.max(a.abs_diff(*b));
                count += 1;
            }
        }
        let mean = sum as f64 / count as f64;
        assert!(
            mean <= 0.5 && max <= 2,
            "{width} x {height} to {resize}/{crop}: mean {mean:.3}, max {max}"
        );
    }
    assert!(golden.is_empty());
}

#[test]
fn the_output_is_channels_last_and_normalized() {
    let image = pattern(50, 40);
    let transform = transform(32, 28);
    let mut scratch = Scratch::default();
    let mut out = vec![f32::NAN; 3 * 28 * 28];
    transform.apply(&image, &mut scratch, &mut out);
    let pixels = transform.crop_rgb(&image, &mut scratch);
    for (index, value) in out.iter().enumerate() {
        let channel = index % 3;
        let pixel = f32::from(pixels[index]) / 255.0;
        let expected = (pixel - transform.mean[channel]) / transform.std[channel];
        assert!((value - expected).abs() < 1e-5, "{index}: {value} instead of {expected}");
    }
}

#[test]
fn an_image_of_the_crops_size_is_copied_when_nothing_is_resized() {
    let image = pattern(28, 28);
    let mut scratch = Scratch::default();
    assert_eq!(transform(28, 28).crop_rgb(&image, &mut scratch), image.as_raw());
    // A resize below the crop cannot be meant.
    assert_eq!(transform(8, 28).crop_rgb(&image, &mut scratch), image.as_raw());
}

#[test]
fn imagenets_transform_gives_the_backbones_input() {
    for resize in [256, 232] {
        let transform = EvalTransform::imagenet(resize);
        assert_eq!((transform.resize, transform.crop), (resize, 224));
        let black = RgbImage::new(300, 200);
        let mut out = vec![0.0; 3 * 224 * 224];
        transform.apply(&black, &mut Scratch::default(), &mut out);
        assert!((out[0] - -0.485 / 0.229).abs() < 1e-6);
        assert!((out[1] - -0.456 / 0.224).abs() < 1e-6);
        assert!((out[2] - -0.406 / 0.225).abs() < 1e-6);
    }
}

#[test]
fn extreme_shapes_work() {
    let mut scratch = Scratch::default();
    let mut out = vec![0.0; 3 * 224 * 224];
    for (width, height) in [(10_000, 10), (10, 10_000), (1, 16_384), (16_384, 1), (2, 1), (223, 3)]
    {
        out.fill(f32::NAN);
        EvalTransform::imagenet(256).apply(&pattern(width, height), &mut scratch, &mut out);
        assert!(out.iter().all(|value| value.is_finite()), "{width} x {height}");
    }
}

#[test]
#[should_panic(expected = "the output must be [crop, crop, 3]")]
fn an_output_of_another_size_is_refused() {
    transform(32, 28).apply(&pattern(9, 9), &mut Scratch::default(), &mut [0.0; 10]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_constant_image_stays_constant_at_any_size(
        width in 1u32..700,
        height in 1u32..700,
        colour: [u8; 3],
        resize in 1u32..80,
        crop in 1u32..64,
    ) {
        let image = RgbImage::from_pixel(width, height, Rgb(colour));
        let mut scratch = Scratch::default();
        let pixels = transform(resize, crop).crop_rgb(&image, &mut scratch);
        prop_assert_eq!(pixels.len(), (crop * crop * 3) as usize);
        for pixel in pixels.chunks_exact(3) {
            for (value, expected) in pixel.iter().zip(colour) {
                prop_assert!(value.abs_diff(expected) <= 1);
            }
        }
    }

    #[test]
    fn a_used_scratch_gives_what_a_new_one_gives(
        sizes in prop::collection::vec((1u32..200, 1u32..200, 20u32..40), 1..6),
    ) {
        let mut used = Scratch::default();
        for (width, height, crop) in sizes {
            let image = pattern(width, height);
            let transform = transform(40, crop);
            let fresh = transform.crop_rgb(&image, &mut Scratch::default()).to_vec();
            prop_assert_eq!(transform.crop_rgb(&image, &mut used), fresh);
        }
    }

    #[test]
    fn mirroring_the_image_mirrors_the_crop(width in 1u32..300, height in 1u32..300) {
        // An even remainder, so that the centre is exact.
        let image = pattern(width, height);
        let mirrored = image::imageops::flip_horizontal(&image);
        let transform = transform(32, 32);
        let resized_width = if width <= height { 32 } else { 32 * width / height };
        prop_assume!((resized_width - 32) % 2 == 0);
        let mut scratch = Scratch::default();
        let pixels = transform.crop_rgb(&image, &mut scratch).to_vec();
        let of_mirrored = transform.crop_rgb(&mirrored, &mut scratch);
        for y in 0..32 {
            for x in 0..32 {
                for channel in 0..3 {
                    let a = pixels[(y * 32 + x) * 3 + channel];
                    let b = of_mirrored[(y * 32 + 31 - x) * 3 + channel];
                    prop_assert!(a.abs_diff(b) <= 1, "({x}, {y}): {a} and {b}");
                }
            }
        }
    }
}
