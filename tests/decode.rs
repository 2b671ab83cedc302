//! Decoding against what Pillow makes of the same files, whole and damaged.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ec2train::Error;
use ec2train::data::decode::{Decoded, decode};
use image::{ImageFormat, Rgb, RgbImage};

/// Of every image in the golden folder.
const WIDTH: u32 = 40;
const HEIGHT: u32 = 30;

fn golden_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/data/images")
}

/// Every golden image file, sorted: its path and content.
fn golden_files() -> Vec<(PathBuf, Vec<u8>)> {
    let mut paths: Vec<PathBuf> = fs::read_dir(golden_dir())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension != "rgb"))
        .collect();
    paths.sort();
    assert!(paths.len() >= 30, "golden files are missing: {paths:?}");
    paths.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

fn decode_bytes(bytes: &[u8]) -> ec2train::Result<Decoded> {
    decode(Path::new("photo.jpg"), bytes)
}

fn golden(name: &str) -> Vec<u8> {
    fs::read(golden_dir().join(name)).unwrap()
}

/// Mean and largest absolute difference, in levels.
fn difference(a: &[u8], b: &[u8]) -> (f64, u8) {
    assert_eq!(a.len(), b.len());
    let differences = || a.iter().zip(b).map(|(&a, &b)| a.abs_diff(b));
    let sum: u64 = differences().map(u64::from).sum();
    (sum as f64 / a.len() as f64, differences().max().unwrap())
}

/// A large smooth image with some texture, whose rows all differ from grey.
fn photograph(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        let texture = (x * 7 + y * 3) % 23;
        Rgb([
            (40 + x * 150 / width + texture) as u8,
            (60 + y * 150 / height + texture) as u8,
            (200 - x * 100 / width) as u8,
        ])
    })
}

fn encode(image: &RgbImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

#[test]
fn every_format_and_mode_decodes_as_in_pillow() {
    for (path, bytes) in golden_files() {
        let name = path.file_name().unwrap().to_str().unwrap();
        let decoded = decode(&path, &bytes).unwrap();
        let expected = fs::read(path.with_extension("rgb")).unwrap();
        assert_eq!(decoded.image.dimensions(), (WIDTH, HEIGHT), "{name}");
        assert_eq!(decoded.warning, None, "{name}");

        let (mean, max) = difference(decoded.image.as_raw(), &expected);
        println!("{name}: mean {mean:.3}, max {max}");
    }
}
