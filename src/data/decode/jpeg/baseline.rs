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
mod plane;
mod scan;
mod segments;
mod upsample;

use image::RgbImage;

use crate::kernels::isa::Isa;
use header::Header;
use scan::Scan;

/// Grey rows at the bottom may be missing ones, which the other decoder tells apart.
const SUSPICIOUS_GREYS: [u8; 2] = [super::GREY, super::GREY_UNDER_BLACK];

/// `[height, width, 3]` u8; `None` when the JPEG is not a usual one, not whole, or takes more memory
/// than this.
pub(super) fn decode(bytes: &[u8], max_alloc_bytes: u64) -> Option<RgbImage> {
    decode_with(isa(), bytes, max_alloc_bytes)
}

/// The same with these instructions.
pub(super) fn decode_with(isa: Isa, bytes: &[u8], max_alloc_bytes: u64) -> Option<RgbImage> {
    let header = Header::of(bytes)?;
    let row_bytes = header.width * 3;
    if (row_bytes * header.height) as u64 > max_alloc_bytes {
        return None;
    }
    let mut pixels = vec![0; row_bytes * header.height];
    let mut is_whole = false;
    isa.run(Scan { header: &header, pixels: &mut pixels, is_whole: &mut is_whole });
    let last_row = &pixels[pixels.len() - row_bytes..];
    let is_suspicious =
        SUSPICIOUS_GREYS.iter().any(|grey| last_row.iter().all(|sample| sample == grey));
    if !is_whole || is_suspicious {
        return None;
    }
    RgbImage::from_raw(header.width as u32, header.height as u32, pixels)
}

/// Vectors of 32 bytes where there are any: a row of 8 samples fills no longer ones, with which this
/// takes a tenth longer.
fn isa() -> Isa {
    Isa::supported().last().copied().unwrap_or(Isa::Portable)
}
