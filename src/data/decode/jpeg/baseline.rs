//! The usual JPEG to RGB pixels, in one pass over its rows of blocks.
//!
//! That is: 8-bit samples, baseline or extended Huffman coding, a single scan, grey or YCbCr with
//! the usual samplings. Anything else, and anything irregular, is left to `zune-jpeg`, so that only
//! one decoder decides what becomes of a damaged file. The pixels are those of `zune-jpeg`, bit for
//! bit.

#[cfg(target_arch = "x86_64")]
mod avx2;
mod bits;
mod block;
mod colour;
mod header;
mod huffman;
mod idct;
mod part;
mod plane;
mod scan;
mod segments;
mod upsample;

use image::RgbImage;

use crate::data::transform::Rectangle;
use crate::kernels::isa::Isa;
use header::Header;
use part::Part;
use scan::Scan;

/// Grey rows at the bottom may be missing ones, which the other decoder tells apart.
const SUSPICIOUS_GREYS: [u8; 2] = [super::GREY, super::GREY_UNDER_BLACK];

/// `[height, width, 3]` u8, of which at least the part that is `needed`, by width and height, is
/// decoded. `None` when the JPEG is not a usual one, not whole, or takes more memory than this.
pub(super) fn decode(
    bytes: &[u8],
    max_alloc_bytes: u64,
    needed: impl FnOnce(u32, u32) -> Rectangle,
) -> Option<RgbImage> {
    decode_with(isa()?, bytes, max_alloc_bytes, needed)
}

/// The same with these instructions, which change nothing but the speed.
pub(super) fn decode_with(
    isa: Isa,
    bytes: &[u8],
    max_alloc_bytes: u64,
    needed: impl FnOnce(u32, u32) -> Rectangle,
) -> Option<RgbImage> {
    let header = Header::of(bytes)?;
    let row_bytes = header.width * 3;
    if (row_bytes * header.height) as u64 > max_alloc_bytes {
        return None;
    }
    let (width, height) = (header.width as u32, header.height as u32);
    let part = Part::of(&header, needed(width, height));
    let mut pixels = vec![0; row_bytes * header.height];
    let mut is_whole = false;
    isa.run(Scan { header: &header, part: &part, pixels: &mut pixels, is_whole: &mut is_whole });
    let last_row = &pixels[pixels.len() - row_bytes..];
    let last_row = &last_row[3 * part.columns.start..3 * part.columns.end];
    let is_suspicious =
        SUSPICIOUS_GREYS.iter().any(|grey| last_row.iter().all(|sample| sample == grey));
    if !is_whole || is_suspicious {
        return None;
    }
    RgbImage::from_raw(width, height, pixels)
}

/// Vectors of 32 bytes: a row of 8 samples fills no longer ones, with which this takes a tenth longer.
/// Without any the other decoder is the faster one.
fn isa() -> Option<Isa> {
    Isa::supported().last().copied()
}
