//! Pictures that are drawn from a seed, no two of which look alike.

use std::io::Cursor;

use image::codecs::jpeg::JpegEncoder;
use image::imageops::{FilterType, resize};
use image::{DynamicImage, ImageFormat, RgbImage};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Coloured blobs of an eighth of the sides, with grain.
pub fn picture(seed: u64, width: u32, height: u32) -> RgbImage {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let blobs = RgbImage::from_fn(8, 8, |_, _| image::Rgb(rng.random()));
    let mut picture = resize(&blobs, width, height, FilterType::CatmullRom);
    for sample in picture.iter_mut() {
        *sample = sample.saturating_add(rng.random_range(0..8));
    }
    picture
}

pub fn jpeg(picture: &RgbImage, quality: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, quality).encode_image(picture).unwrap();
    bytes
}

pub fn encode(picture: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Vec::new();
    picture.into().write_to(&mut Cursor::new(&mut bytes), format).unwrap();
    bytes
}
