//! One image file, read and decoded as in a training.

use std::fs;
use std::path::Path;

use image::{ImageFormat, RgbImage};

use super::content::{Content, format_name};
use super::finding::Finding;
use super::finding_kind::FindingKind;
use super::fingerprint::Fingerprint;
use super::traits::traits;
use crate::data::decode::{self, Decoded, decode};
use crate::data::image_file;
use crate::data::resize::Scratch;

/// Shorter side, in pixels, below which an image is tiny: the transform enlarges it eight-fold, and
/// little of what the backbone was trained to see is left.
const MIN_SIDE: u32 = 32;
/// Longer side in shorter sides from which the centre crop shows less than a quarter of the image.
const MAX_ASPECT: u32 = 4;
/// Pixels from which an image is huge: 150 MB as RGB, in each worker.
const MAX_PIXELS: u64 = 50_000_000;
/// Part of the rows, one in this many, that a cut off image may miss and still be worth using.
const MAX_MISSING_PART: u32 = 10;
/// Levels by which the samples of a blank image differ from its first pixel at most: what a JPEG
/// makes of one colour.
const BLANK_LEVELS: u8 = 3;

/// What is in a file that can be used.
#[derive(Debug)]
pub(super) struct Picture {
    /// BLAKE3 of the file.
    pub(super) content: blake3::Hash,
    /// `None` when there is nothing in it to tell it by.
    pub(super) fingerprint: Option<Fingerprint>,
}

/// Reads the file at `path`: what it shows, if it can be used, and what is wrong with it.
pub(super) fn read(path: &Path, scratch: &mut Scratch) -> (Option<Picture>, Vec<Finding>) {
    let mut findings = Vec::new();
    let mut found = |kind, reason: String| findings.push(Finding::new(kind, path, reason));
    if path.file_name().is_some_and(|name| name.to_str().is_none()) {
        found(FindingKind::FileNameNotUtf8, "the file name is not UTF-8".into());
    }
    let picture = match open(path) {
        Ok((bytes, format, Decoded { image, warning, num_missing_rows })) => {
            if let Some(warning) = warning {
                let is_bad = num_missing_rows > image.height() / MAX_MISSING_PART;
                let kind =
                    if is_bad { FindingKind::BadlyTruncated } else { FindingKind::Truncated };
                found(kind, warning);
            }
            let named = ImageFormat::from_path(path).ok();
            if named.is_some_and(|named| named != format) {
                let reason = format!("the content is {}", format_name(format));
                found(FindingKind::WrongExtension, reason);
            }
            let is_blank = is_blank(&image);
            if is_blank {
                found(FindingKind::BlankImage, "is one colour all over".into());
            }
            if let Some((kind, reason)) = outlying_size(&image) {
                found(kind, reason);
            }
            for (kind, reason) in traits(format, &bytes) {
                found(kind, reason.into());
            }
            let fingerprint = (!is_blank).then(|| Fingerprint::of(&image, scratch));
            Some(Picture { content: blake3::hash(&bytes), fingerprint })
        }
        Err((kind, reason)) => {
            found(kind, reason);
            None
        }
    };
    (picture, findings)
}

/// Reads and decodes a file, or says why it cannot be used.
fn open(path: &Path) -> Result<(Vec<u8>, ImageFormat, Decoded), (FindingKind, String)> {
    if fs::metadata(path).is_ok_and(|metadata| metadata.len() > image_file::MAX_BYTES) {
        let reason = format!("has more than {} MiB", image_file::MAX_BYTES >> 20);
        return Err((FindingKind::TooLarge, reason));
    }
    let bytes =
        image_file::read(path).map_err(|error| (FindingKind::Unreadable, error.reason()))?.bytes;
    if bytes.is_empty() {
        return Err((FindingKind::EmptyFile, "the file is empty".into()));
    }
    let format = match Content::of(&bytes) {
        Content::Image(format) => format,
        Content::UnsupportedImage(name) => {
            let reason = format!("is a {name} image, which is not read");
            return Err((FindingKind::UnsupportedFormat, reason));
        }
        Content::Other => {
            let reason = "the content is not an image of a known format".into();
            return Err((FindingKind::NotAnImage, reason));
        }
    };
    match decode(path, &bytes) {
        Ok(decoded) => Ok((bytes, format, decoded)),
        Err(error) => {
            let reason = error.reason();
            let is_too_large = reason == decode::too_large(decode::MAX_ALLOC_BYTES);
            let kind = if is_too_large { FindingKind::TooLarge } else { FindingKind::Corrupt };
            Err((kind, reason))
        }
    }
}

fn is_blank(image: &RgbImage) -> bool {
    let (pixels, _) = image.as_raw().as_chunks::<3>();
    let Some(first) = pixels.first() else { return true };
    pixels.iter().all(|pixel| pixel.iter().zip(first).all(|(&a, &b)| a.abs_diff(b) <= BLANK_LEVELS))
}

fn outlying_size(image: &RgbImage) -> Option<(FindingKind, String)> {
    let (width, height) = image.dimensions();
    let (shorter, longer) = (width.min(height), width.max(height));
    let kind = if shorter < MIN_SIDE {
        FindingKind::TinyImage
    } else if longer > MAX_ASPECT * shorter {
        FindingKind::ExtremeAspect
    } else if u64::from(width) * u64::from(height) > MAX_PIXELS {
        FindingKind::HugeImage
    } else {
        return None;
    };
    Some((kind, format!("{width} x {height} pixels")))
}
