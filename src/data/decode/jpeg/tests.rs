//! The two decoders against each other.

use std::ops::Range;
use std::panic::{self, UnwindSafe};
use std::path::Path;
use std::{array, fs};

use proptest::prelude::*;

use super::random_jpeg::{Recipe, jpeg};
use super::*;
use crate::bench::photograph;
use crate::data::decode::{MAX_ALLOC_BYTES, decode_section};
use crate::data::resize::Scratch;
use crate::data::section::{Rectangle, Section};
use crate::data::transform::EvalTransform;
use crate::kernels::isa::Isa;

const SAMPLINGS: [Option<(u8, u8)>; 5] =
    [None, Some((1, 1)), Some((2, 1)), Some((1, 2)), Some((2, 2))];

const SQUARE: Recipe = Recipe {
    width: 64,
    height: 64,
    sampling: Some((2, 2)),
    restart_interval: 0,
    max_coded: 63,
    seed: 1,
};

/// The image, the warning and the missing rows; or the reason of an error; or nothing where the
/// decoder panicked, as `zune-jpeg` may where it is checked for overflows.
type Outcome = Option<Result<(RgbImage, Option<String>, u32), String>>;

fn outcome(decode: impl FnOnce() -> Result<Decoded, String> + UnwindSafe) -> Outcome {
    let decoded = panic::catch_unwind(decode).ok()?;
    Some(decoded.map(|decoded| (decoded.image, decoded.warning, decoded.num_missing_rows)))
}

/// With any instructions the decoder here makes the same of a JPEG as `zune-jpeg`: its pixels.
#[track_caller]
fn assert_equal(bytes: &[u8], what: &str) -> Option<RgbImage> {
    let expected = decode_unusual(bytes, MAX_ALLOC_BYTES).expect("a whole JPEG");
    assert_eq!(expected.warning, None, "{what}");
    let images: Vec<Option<RgbImage>> = Isa::supported()
        .into_iter()
        .chain([Isa::Portable])
        .map(|isa| baseline::decode_with(isa, bytes, MAX_ALLOC_BYTES))
        .collect();
    for image in images.iter().flatten() {
        assert_eq!(image.dimensions(), expected.image.dimensions(), "{what}");
        let differs = image.as_raw().iter().zip(expected.image.as_raw()).position(|(a, b)| a != b);
        assert_eq!(differs, None, "{what}");
    }
    assert!(images.iter().all(|image| image.is_some() == images[0].is_some()), "{what}");
    images.into_iter().next().flatten()
}

/// Keeps the rows and columns that it gets, and has asked for a part.
struct OnlyPart {
    part: Rectangle,
    image: RgbImage,
    /// Row that may come next.
    next: usize,
    room: Vec<u8>,
}

impl RowSink for OnlyPart {
    fn begin(&mut self, width: u32, height: u32) -> Rectangle {
        self.image = RgbImage::new(width, height);
        self.part
    }

    fn room(&mut self, rows: Range<usize>) -> &mut [u8] {
        assert!(rows.start >= self.next && rows.end <= self.image.height() as usize, "{rows:?}");
        self.next = rows.end;
        self.room = vec![1; rows.len() * 3 * self.image.width() as usize];
        &mut self.room
    }

    fn put(&mut self, columns: &Range<usize>) {
        let row_bytes = 3 * self.image.width() as usize;
        let first = self.next - self.room.len() / row_bytes;
        let columns = 3 * columns.start..3 * columns.end;
        let image = self.image.chunks_exact_mut(row_bytes).skip(first);
        for (out, row) in image.zip(self.room.chunks_exact(row_bytes)) {
            out[columns.clone()].copy_from_slice(&row[columns.clone()]);
        }
    }
}

fn golden(name: &str) -> Vec<u8> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/data");
    fs::read(dir.join(name)).unwrap()
}

fn recipes() -> impl Strategy<Value = Recipe> {
    let sampling = prop::sample::select(&SAMPLINGS[..]);
    let coded = prop::sample::select(vec![0, 3, 9, 20, 63]);
    (1..70u16, 1..70u16, sampling, 0..6u16, coded, any::<u64>()).prop_map(
        |(width, height, sampling, restart_interval, max_coded, seed)| Recipe {
            width,
            height,
            sampling,
            restart_interval,
            max_coded,
            seed,
        },
    )
}

#[test]
fn jpegs_of_other_programs_give_the_same_pixels() {
    let names = ["420", "422", "444", "exif_rotated", "gray", "restart"];
    for name in names.map(|name| format!("images/jpeg_{name}.jpg")) {
        assert!(assert_equal(&golden(&name), &name).is_some(), "{name}");
    }
    for name in ["truncation/baseline.jpg", "truncation/restart.jpg"] {
        assert!(assert_equal(&golden(name), name).is_some(), "{name}");
    }
    assert!(assert_equal(&photograph(1).unwrap(), "photograph").is_some());
}

#[test]
fn the_crop_of_a_photograph_is_that_of_the_whole_image() {
    let bytes = photograph(1).unwrap();
    let image = decode_unusual(&bytes, MAX_ALLOC_BYTES).unwrap().image;
    let [mut found, mut expected] = [Scratch::default(), Scratch::default()];
    for resize in [232, 256] {
        let section = |width, height| EvalTransform::imagenet(resize).section(width, height);
        decode_section(MAX_ALLOC_BYTES, Path::new("jpeg"), &bytes, section, &mut found).unwrap();
        let expected = expected.resize(&image, &section(image.width(), image.height()));
        assert!(found.square() == expected, "resized to {resize}");
    }
}

#[test]
fn unusual_jpegs_are_left_to_the_other_decoder() {
    let names = ["cmyk", "cmyk_unmarked", "progressive", "progressive_gray", "rgb", "ycck"];
    for name in names.map(|name| format!("images/jpeg_{name}.jpg")) {
        assert!(baseline::decode(&golden(&name), MAX_ALLOC_BYTES).is_none(), "{name}");
    }
}

#[test]
fn every_size_gives_the_same_pixels() {
    for sampling in SAMPLINGS {
        for (width, height) in (1..=34).flat_map(|side| [(side, 35 - side), (side, 16), (32, side)])
        {
            let seed = u64::from(width) * 100 + u64::from(height);
            let recipe =
                Recipe { width, height, sampling, restart_interval: 0, max_coded: 30, seed };
            assert!(assert_equal(&jpeg(recipe), &format!("{recipe:?}")).is_some(), "{recipe:?}");
        }
    }
}

#[test]
fn a_grey_bottom_and_coefficients_out_of_range_are_left_to_the_other_decoder() {
    let grey = RgbImage::from_pixel(20, 20, image::Rgb([GREY; 3]));
    let mut bytes = Vec::new();
    image::codecs::jpeg::JpegEncoder::new(&mut bytes).encode_image(&grey).unwrap();
    assert_eq!(assert_equal(&bytes, "grey"), None);

    let mut bytes = jpeg(SQUARE);
    // The quantizers.
    bytes[7..71].fill(255);
    assert_eq!(assert_equal(&bytes, "large coefficients"), None);
}

#[test]
fn restarts_out_of_order_are_left_to_the_other_decoder() {
    let bytes = jpeg(Recipe { restart_interval: 3, max_coded: 20, ..SQUARE });
    assert!(assert_equal(&bytes, "in order").is_some());
    let marker = bytes.windows(2).rposition(|pair| pair == [0xff, 0xd2]).unwrap();
    let mut swapped = bytes.clone();
    swapped[marker + 1] = 0xd3;
    let missing = [&bytes[..marker], &bytes[marker + 2..]].concat();
    let doubled = [&bytes[..marker], &bytes[marker..marker + 2], &bytes[marker..]].concat();
    for damaged in [swapped, missing, doubled] {
        assert_eq!(baseline::decode(&damaged, MAX_ALLOC_BYTES), None);
    }
}

#[test]
fn the_limit_on_memory_holds() {
    let bytes = golden("images/jpeg_420.jpg");
    assert!(baseline::decode(&bytes, 40 * 30 * 3).is_some());
    assert!(baseline::decode(&bytes, 40 * 30 * 3 - 1).is_none());
    assert!(decode(&bytes, 40 * 30 * 3 - 1).unwrap_err().contains("too large"));
}

proptest! {
    #[test]
    fn random_jpegs_give_the_same_pixels(recipe in recipes()) {
        let bytes = jpeg(recipe);
        if assert_equal(&bytes, "").is_none() {
            // Only for its last row.
            let image = decode_unusual(&bytes, MAX_ALLOC_BYTES).unwrap().image;
            let row = &image.as_raw()[image.as_raw().len() - 3 * image.width() as usize..];
            prop_assert!([GREY, GREY_UNDER_BLACK].iter().any(|grey| row.iter().all(|sample| sample == grey)));
        }
    }

    #[test]
    fn a_part_of_a_jpeg_has_the_pixels_of_the_whole_one(
        recipe in recipes(),
        (left, right) in (0..70u32, 1..70u32),
        (top, bottom) in (0..70u32, 1..70u32),
    ) {
        let bytes = jpeg(recipe);
        let expected = decode_unusual(&bytes, MAX_ALLOC_BYTES).unwrap().image;
        let (left, top) = (left.min(expected.width() - 1), top.min(expected.height() - 1));
        let width = right.min(expected.width() - left);
        let height = bottom.min(expected.height() - top);
        let part = Rectangle { left, top, width, height };
        let mut sink = OnlyPart { part, image: RgbImage::default(), next: 0, room: Vec::new() };
        let size = decode_rows(&bytes, MAX_ALLOC_BYTES, &mut sink);
        if let Some(size) = size {
            prop_assert_eq!(size, expected.dimensions());
            let cut = |image: &RgbImage| image::imageops::crop_imm(image, left, top, width, height).to_image();
            prop_assert!(cut(&sink.image) == cut(&expected), "{:?}", part);
        }
        prop_assert_eq!(size.is_some(), baseline::decode(&bytes, MAX_ALLOC_BYTES).is_some());
    }

    #[test]
    fn a_section_of_a_jpeg_is_that_of_the_whole_image(
        recipe in recipes(),
        (left, right) in (0..70u32, 1..70u32),
        (top, bottom) in (0..70u32, 1..70u32),
        side in 1..40u32,
        is_mirrored: bool,
    ) {
        let bytes = jpeg(recipe);
        let image = decode_unusual(&bytes, MAX_ALLOC_BYTES).unwrap().image;
        let section = |width: u32, height: u32| {
            let (left, top) = (left.min(width - 1), top.min(height - 1));
            let (width, height) = (right.min(width - left), bottom.min(height - top));
            let part = Rectangle { left, top, width, height };
            Section { is_mirrored, ..Section::of(part, side) }
        };
        let [mut found, mut expected] = [Scratch::default(), Scratch::default()];
        let path = Path::new("jpeg");
        prop_assert_eq!(decode_section(MAX_ALLOC_BYTES, path, &bytes, section, &mut found).unwrap(), None);
        let expected = expected.resize(&image, &section(image.width(), image.height()));
        prop_assert_eq!(found.square(), expected);
    }

    #[test]
    fn damaged_jpegs_come_out_as_without_the_decoder_here(
        recipe in recipes(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), 0..8u8), 0..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = jpeg(recipe);
        for (index, bit) in flips {
            let index = index.index(bytes.len());
            bytes[index] ^= 1 << bit;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let expected = outcome(|| decode_unusual(&bytes, MAX_ALLOC_BYTES));
        prop_assert_eq!(&outcome(|| decode(&bytes, MAX_ALLOC_BYTES)), &expected);
        let section = |width, height| EvalTransform::imagenet(256).section(width, height);
        let mut scratch = Scratch::default();
        let found = decode_section(MAX_ALLOC_BYTES, Path::new("jpeg"), &bytes, section, &mut scratch);
        match expected {
            Some(Ok((image, warning, _))) => {
                prop_assert_eq!(found.unwrap(), warning);
                let mut expected = Scratch::default();
                let expected = expected.resize(&image, &section(image.width(), image.height()));
                prop_assert!(scratch.square() == expected);
            }
            Some(Err(reason)) if is_jpeg(&bytes) => {
                prop_assert_eq!(found.unwrap_err().reason(), reason);
            }
            _ => prop_assert!(found.is_err()),
        }
    }
}

#[test]
fn a_flipped_bit_anywhere_comes_out_as_without_the_decoder_here() {
    let files: [Vec<u8>; 4] = array::from_fn(|index| {
        golden(&format!("images/jpeg_{}.jpg", ["420", "422", "gray", "restart"][index]))
    });
    for mut bytes in files {
        for index in 0..bytes.len() {
            let bit = 1 << (index % 8);
            bytes[index] ^= bit;
            let expected = outcome(|| decode_unusual(&bytes, MAX_ALLOC_BYTES));
            let found = outcome(|| decode(&bytes, MAX_ALLOC_BYTES));
            assert!(found == expected, "with a bit of byte {index} flipped");
            bytes[index] ^= bit;
        }
    }
}
