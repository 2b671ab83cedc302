//! An image file to RGB pixels.
//!
//! What the pixels are follows torchvision's default loader, which is Pillow's
//! `open(path).convert("RGB")` with `LOAD_TRUNCATED_IMAGES` on:
//!
//! - The format is told by the content; the extension is not looked at.
//! - Alpha is dropped, not composited: the colours under transparent pixels come to light.
//! - The EXIF orientation is not applied: a photograph that was taken upright and stored on its
//!   side stays on its side, in training as in serving.
//! - Of an animation or a file of several pages the first picture is taken.
//! - A JPEG that is cut off is used as far as it decodes, the rest is grey, and a warning says so.
//!
//! The usual JPEGs are decoded by a decoder of our own, all others and damaged ones by `zune-jpeg`, to
//! whose pixels the former's are equal; other formats by `image`.
//!
//! One difference is deliberate: 16-bit samples are scaled to 8 bits, where Pillow clips 16-bit
//! gray at 255 and so turns most of such a picture white.

mod jpeg;

use std::io::Cursor;
use std::ops::Range;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;

use image::{ImageError, ImageReader, Limits, RgbImage};

use super::resize::Scratch;
use super::section::{Rectangle, Section};
use crate::error::{Error, Result};

/// Longest side that is decoded, in pixels.
const MAX_SIDE: u32 = 16_384;
/// Most memory one decoder may take. As RGB it is the number of pixels from which Pillow raises
/// `DecompressionBombError`: 178,956,970.
pub const MAX_ALLOC_BYTES: u64 = 512 << 20;

/// A decoded image.
#[derive(Debug, Clone)]
pub struct Decoded {
    /// `[height, width, 3]` u8; neither side is 0.
    pub image: RgbImage,
    /// What was lost, as in "truncated: 37 of 480 rows are missing". `None`: nothing.
    pub warning: Option<String>,
    /// Rows at the bottom that are grey because their data is missing.
    pub num_missing_rows: u32,
}

/// What becomes of an image's rows as they are decoded.
pub(super) trait RowSink {
    /// An image of this size begins. Tells which part of it is needed.
    fn begin(&mut self, width: u32, height: u32) -> Rectangle;

    /// Room for `rows`, `[rows, width, 3]` u8. They come from the top to the bottom; such as are not needed
    /// may be left out.
    fn room(&mut self, rows: Range<usize>) -> &mut [u8];

    /// The room is filled, in these columns.
    fn put(&mut self, columns: &Range<usize>);
}

/// Decodes `bytes`, the content of the file at `path`.
///
/// # Errors
/// [`Error::BadData`] naming `path`: not an image, an unknown format, so damaged that nothing
/// usable is left, or beyond 16,384 pixels a side or 512 MiB of memory. Only a JPEG may be
/// incomplete; other formats must be whole.
pub fn decode(path: &Path, bytes: &[u8]) -> Result<Decoded> {
    decode_within(MAX_ALLOC_BYTES, path, bytes)
}

/// The same with another limit on the memory that decoding may take, in bytes.
///
/// # Errors
/// As [`decode`].
pub fn decode_within(max_alloc_bytes: u64, path: &Path, bytes: &[u8]) -> Result<Decoded> {
    guarded(path, || decode_any(bytes, max_alloc_bytes))
}

/// Decodes what a section of the image is made of, and resizes it. `section` tells which one by width and height,
/// in pixels; the square is in `scratch` afterwards. Returns what was lost, as in [`Decoded::warning`].
///
/// A usual JPEG is resized while it is decoded, so that it takes no more memory than some of its rows.
///
/// # Errors
/// As [`decode`], whichever part is damaged.
pub fn decode_section(
    max_alloc_bytes: u64,
    path: &Path,
    bytes: &[u8],
    section: impl Fn(u32, u32) -> Section,
    scratch: &mut Scratch,
) -> Result<Option<String>> {
    guarded(path, || {
        let decoded = if jpeg::is_jpeg(bytes) {
            let mut sink = scratch.rows().of(&section);
            let size = jpeg::decode_rows(bytes, max_alloc_bytes, &mut sink);
            drop(sink);
            if let Some((width, height)) = size {
                scratch.resize_rows(&section(width, height));
                return Ok(None);
            }
            jpeg::decode_unusual(bytes, max_alloc_bytes)
        } else {
            decode_any(bytes, max_alloc_bytes)
        };
        let Decoded { image, warning, .. } = decoded?;
        scratch.resize(&image, &section(image.width(), image.height()));
        Ok(warning)
    })
}

/// One file must not end a run: a decoder that panics is a bug, and the file is skipped.
fn guarded<T>(path: &Path, decode: impl FnOnce() -> Result<T, String>) -> Result<T> {
    let decoded = panic::catch_unwind(AssertUnwindSafe(decode))
        .unwrap_or_else(|_| Err("the decoder failed on it".to_owned()));
    decoded.map_err(|reason| {
        Error::bad_data(
            path,
            reason,
            "Replace the file with an intact JPEG, PNG, WebP, BMP, GIF or TIFF image, or remove it.",
        )
    })
}

/// The error is the reason alone.
fn decode_any(bytes: &[u8], max_alloc_bytes: u64) -> Result<Decoded, String> {
    if bytes.is_empty() {
        Err("the file is empty".to_owned())
    } else if jpeg::is_jpeg(bytes) {
        jpeg::decode(bytes, max_alloc_bytes)
    } else {
        decode_other(bytes, max_alloc_bytes)
    }
}

/// Every format but JPEG. The error is the reason alone.
fn decode_other(bytes: &[u8], max_alloc_bytes: u64) -> Result<Decoded, String> {
    let mut reader = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .map_err(|error| error.to_string())?;
    if reader.format().is_none() {
        return Err("the content is not an image of a known format".to_owned());
    }
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(max_alloc_bytes);
    reader.limits(limits);

    let image = reader
        .decode()
        .map_err(|error| match error {
            ImageError::Limits(_) => too_large(max_alloc_bytes),
            error => error.to_string(),
        })?
        .into_rgb8();
    if image.width() == 0 || image.height() == 0 {
        return Err("the image has no pixels".to_owned());
    }
    Ok(Decoded { image, warning: None, num_missing_rows: 0 })
}

/// The reason of everything that is refused for its size.
pub(super) fn too_large(max_alloc_bytes: u64) -> String {
    format!(
        "the image is too large: more than {MAX_SIDE} pixels a side, or {} MiB to decode",
        max_alloc_bytes >> 20
    )
}
