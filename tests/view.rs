//! Random views against torchvision's, and what they depend on.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::PathBuf;

use ec2train::data::resize::Scratch;
use ec2train::data::section::{Rectangle, Section};
use ec2train::data::ten_crop::TenCrop;
use ec2train::data::transform::EvalTransform;
use ec2train::data::view::{ViewTransform, Views};
use image::{Rgb, RgbImage};
use proptest::prelude::*;

/// (width, height, left, top, crop width, crop height, mirrored, side), as in
/// tests/golden/data/views.py.
#[allow(clippy::type_complexity)]
const CASES: [(u32, u32, u32, u32, u32, u32, bool, u32); 11] = [
    (1, 1, 0, 0, 1, 1, false, 24),
    (60, 40, 0, 0, 60, 40, false, 24),
    (60, 40, 7, 5, 31, 24, false, 24),
    (60, 40, 7, 5, 31, 24, true, 24),
    (60, 40, 59, 39, 1, 1, true, 24),
    (60, 40, 10, 10, 24, 24, true, 24),
    (200, 150, 40, 3, 130, 147, false, 24),
    (200, 150, 69, 0, 131, 100, true, 25),
    (300, 20, 137, 0, 27, 20, false, 24),
    (20, 300, 0, 137, 20, 27, true, 24),
    (97, 131, 50, 60, 9, 12, false, 32),
];

fn golden(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests/golden/data", name].iter().collect()
}

/// The picture that tests/golden/data/generate.py draws.
fn pattern(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        Rgb([0, 1, 2].map(|c| ((x * 7 + y * 13 + c * 85 + (x * y) % 31 * 5) % 256) as u8))
    })
}

/// Small views, for speed.
fn views() -> ViewTransform {
    ViewTransform {
        eval: EvalTransform { resize: 32, crop: 24, ..EvalTransform::imagenet(256) },
        scale: [0.08, 1.0],
        ratio: [3.0 / 4.0, 4.0 / 3.0],
        seed: 133,
    }
}

fn content(image: u32) -> blake3::Hash {
    blake3::hash(&image.to_le_bytes())
}

fn apply(views: &ViewTransform, view: u32, content: &blake3::Hash, image: &RgbImage) -> Vec<f32> {
    let mut out = vec![f32::NAN; views.eval.output_len()];
    views.apply(view, content, image, &mut Scratch::default(), &mut out);
    out
}

#[test]
fn a_part_of_an_image_is_rendered_as_by_torchvision() {
    let golden = fs::read(golden("views.bin")).unwrap();
    let mut golden = golden.as_slice();
    let mut scratch = Scratch::default();
    for case in CASES {
        let (width, height, left, top, crop_width, crop_height, is_mirrored, side) = case;
        let part = Rectangle { left, top, width: crop_width, height: crop_height };
        let section = Section { is_mirrored, ..Section::of(part, side) };
        let found = scratch.resize(&pattern(width, height), &section);
        let (expected, rest) = golden.split_at(found.len());
        golden = rest;
        let differences = found.iter().zip(expected).map(|(a, b)| a.abs_diff(*b));
        let mean = differences.clone().map(f64::from).sum::<f64>() / f64::from(side * side * 3);
        let max = differences.max().unwrap();
        assert!(mean <= 0.5 && max <= 2, "{case:?}: mean {mean:.3}, max {max}");
    }
    assert!(golden.is_empty());
}

#[test]
fn ten_crops_are_torchvisions() {
    let eval = EvalTransform { mean: [0.0; 3], std: [1.0; 3], ..views().eval };
    let golden = fs::read(golden("ten_crop.bin")).unwrap();
    let mut golden = golden.chunks_exact(eval.output_len());
    for (width, height) in [(60, 40), (31, 97), (200, 150)] {
        for view in 0..TenCrop::NUM_VIEWS {
            let mut found = vec![f32::NAN; eval.output_len()];
            let (views, image) = (TenCrop { eval }, pattern(width, height));
            views.apply(view, &content(1), &image, &mut Scratch::default(), &mut found);
            let expected = golden.next().unwrap();
            let differences =
                found.iter().zip(expected).map(|(a, b)| (255.0 * a - f32::from(*b)).abs());
            let mean = differences.sum::<f32>() / found.len() as f32;
            assert!(mean <= 1.0, "{width}x{height}, view {view}: {mean}");
            if view == 0 {
                let mut alone = vec![f32::NAN; eval.output_len()];
                eval.apply(&image, &mut Scratch::default(), &mut alone);
                assert_eq!(found, alone);
            }
        }
    }
    assert!(golden.next().is_none());
}

#[test]
fn parts_are_drawn_as_by_torchvision() {
    const NUM_DRAWS: u32 = 100_000;
    for line in fs::read_to_string(golden("random_crop.txt")).unwrap().lines() {
        let (what, numbers) = line.split_once(' ').unwrap();
        let numbers: Vec<f64> = numbers.split(' ').map(|number| number.parse().unwrap()).collect();
        let (size, expected) = numbers.split_at(2);
        let size = (size[0] as u32, size[1] as u32);
        let draw = |views: &ViewTransform, image| {
            let (part, is_mirrored) = views.draw(1, &content(image), size);
            ([part.left, part.top, part.width, part.height].map(f64::from), is_mirrored)
        };
        if what == "fallback" {
            let whole = ViewTransform { scale: [1.0, 1.0], ..views() };
            assert_eq!(draw(&whole, 1).0, expected, "{line}");
            continue;
        }
        let mut sums = [0.0; 5];
        let mut num_mirrored = 0;
        for image in 0..NUM_DRAWS {
            let ([left, top, width, height], is_mirrored) = draw(&views(), image);
            let values = [left, top, width, height, width * height];
            sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
            num_mirrored += u32::from(is_mirrored);
        }
        // Of either mean the deviation is below 0.4 %.
        for (sum, expected) in sums.iter().zip(expected) {
            let found = sum / f64::from(NUM_DRAWS);
            assert!((found / expected - 1.0).abs() < 0.02, "{line}: {found} for {expected}");
        }
        assert!(num_mirrored.abs_diff(NUM_DRAWS / 2) < NUM_DRAWS / 100, "{num_mirrored}");
    }
}

#[test]
fn view_0_is_the_eval_transforms() {
    let image = pattern(50, 40);
    let mut expected = vec![0.0; views().eval.output_len()];
    views().eval.apply(&image, &mut Scratch::default(), &mut expected);
    assert_eq!(apply(&views(), 0, &content(1), &image), expected);
}

#[test]
fn a_view_depends_on_seed_content_and_number_alone() {
    let image = pattern(120, 90);
    let expected = apply(&views(), 1, &content(1), &image);
    assert_eq!(apply(&views(), 1, &content(1), &image), expected);
    assert_ne!(apply(&views(), 2, &content(1), &image), expected);
    assert_ne!(apply(&views(), 1, &content(2), &image), expected);
    assert_ne!(apply(&ViewTransform { seed: 134, ..views() }, 1, &content(1), &image), expected);
}

#[test]
fn the_draws_of_a_release_are_those_of_the_next() {
    // Features of views are kept on disk: whoever changes this must raise the recipe's number.
    let (part, is_mirrored) = views().draw(1, &content(1), (500, 375));
    let expected = (Rectangle { left: 8, top: 66, width: 291, height: 284 }, true);
    assert_eq!((part, is_mirrored), expected);
}

#[test]
fn a_mirrored_view_is_the_mirrored_picture_of_the_other() {
    let image = pattern(70, 50);
    let part = Rectangle { left: 3, top: 8, width: 41, height: 37 };
    let mut scratch = Scratch::default();
    for side in [1, 2, 23, 24] {
        let plain = Section::of(part, side);
        let mirrored = Section { is_mirrored: true, ..plain };
        let plain = scratch.resize(&image, &plain).to_vec();
        let plain = RgbImage::from_raw(side, side, plain).unwrap();
        let mirrored = scratch.resize(&image, &mirrored);
        assert_eq!(mirrored, image::imageops::flip_horizontal(&plain).as_raw());
    }
}

#[test]
fn what_lies_around_the_part_does_not_matter() {
    let part = Rectangle { left: 10, top: 20, width: 40, height: 30 };
    let image = pattern(100, 80);
    let cut_out = image::imageops::crop_imm(&image, 10, 20, 40, 30).to_image();
    let whole = Rectangle { left: 0, top: 0, width: 40, height: 30 };
    let found = Scratch::default().resize(&image, &Section::of(part, 24)).to_vec();
    assert_eq!(found, Scratch::default().resize(&cut_out, &Section::of(whole, 24)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_part_lies_inside_of_an_image_of_any_size(
        long in 1u32..=3000,
        short in prop_oneof![1u32..=20, 1u32..=3000],
        view in 1u32..,
        image: u32,
        min_scale in 0.0001f64..=1.0,
    ) {
        let views = ViewTransform { scale: [min_scale, 1.0], ..views() };
        for size in [(long, short), (short, long)] {
            let (part, _) = views.draw(view, &content(image), size);
            prop_assert!(part.width > 0 && part.left + part.width <= size.0, "{part:?}");
            prop_assert!(part.height > 0 && part.top + part.height <= size.1, "{part:?}");
        }
    }

    #[test]
    fn a_view_of_any_image_is_whole_and_of_its_colour(
        long in 1u32..=3000,
        short in 1u32..=20,
        view in 0u32..4,
        colour: [u8; 3],
    ) {
        for (width, height) in [(long, short), (short, long)] {
            let image = RgbImage::from_pixel(width, height, Rgb(colour));
            let out = apply(&views(), view, &content(1), &image);
            for (index, value) in out.iter().enumerate() {
                let channel = index % 3;
                let level =
                    (value * views().eval.std[channel] + views().eval.mean[channel]) * 255.0;
                prop_assert!((level - f32::from(colour[channel])).abs() < 1.01, "{level}");
            }
        }
    }

    #[test]
    fn a_used_scratch_gives_what_a_new_one_gives(
        images in prop::collection::vec((1u32..200, 1u32..200, 0u32..4), 1..6),
    ) {
        let mut used = Scratch::default();
        let mut out = vec![0.0; views().eval.output_len()];
        for (width, height, view) in images {
            let image = pattern(width, height);
            views().apply(view, &content(view), &image, &mut used, &mut out);
            prop_assert_eq!(&out, &apply(&views(), view, &content(view), &image));
        }
    }
}
