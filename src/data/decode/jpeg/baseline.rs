//! The usual JPEG to RGB pixels, in one pass over its rows of blocks.
//!
//! That is: 8-bit samples, baseline or extended Huffman coding, a single scan, grey or YCbCr with
//! the usual samplings. Anything else, and anything irregular, is left to `zune-jpeg`, so that only
//! one decoder decides what becomes of a damaged file. The pixels are those of `zune-jpeg`, bit for
//! bit.

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

use std::ops::Range;

use image::RgbImage;

use crate::data::decode::RowSink;
use crate::data::section::Rectangle;
use crate::kernels::isa::Isa;
use header::Header;
use part::Part;
use scan::Scan;

/// `[height, width, 3]` u8. `None` when the JPEG is not a usual one, not whole, or takes more memory than this.
pub(super) fn decode(bytes: &[u8], max_alloc_bytes: u64) -> Option<RgbImage> {
    decode_with(isa()?, bytes, max_alloc_bytes)
}

/// The same with these instructions, which change nothing but the speed.
pub(super) fn decode_with(isa: Isa, bytes: &[u8], max_alloc_bytes: u64) -> Option<RgbImage> {
    let mut whole = Whole::default();
    let (width, height) = decode_rows_with(isa, bytes, max_alloc_bytes, &mut whole)?;
    RgbImage::from_raw(width, height, whole.pixels)
}

/// Gives the rows to `sink`. Returns width and height; `None` as [`decode`], but that the sink may have got some
/// rows already.
pub(super) fn decode_rows(
    bytes: &[u8],
    max_alloc_bytes: u64,
    sink: &mut dyn RowSink,
) -> Option<(u32, u32)> {
    decode_rows_with(isa()?, bytes, max_alloc_bytes, sink)
}

/// The same with these instructions.
pub(super) fn decode_rows_with(
    isa: Isa,
    bytes: &[u8],
    max_alloc_bytes: u64,
    sink: &mut dyn RowSink,
) -> Option<(u32, u32)> {
    let header = Header::of(bytes)?;
    if (3 * header.width * header.height) as u64 > max_alloc_bytes {
        return None;
    }
    let (width, height) = (header.width as u32, header.height as u32);
    let part = Part::of(&header, sink.begin(width, height));
    let mut is_whole = false;
    isa.run(Scan { header: &header, part: &part, sink, is_whole: &mut is_whole });
    is_whole.then_some((width, height))
}

/// All of an image.
#[derive(Default)]
struct Whole {
    row_bytes: usize,
    pixels: Vec<u8>,
}

impl RowSink for Whole {
    fn begin(&mut self, width: u32, height: u32) -> Rectangle {
        self.row_bytes = 3 * width as usize;
        self.pixels = vec![0; self.row_bytes * height as usize];
        Rectangle::whole(width, height)
    }

    fn room(&mut self, rows: Range<usize>) -> &mut [u8] {
        &mut self.pixels[rows.start * self.row_bytes..rows.end * self.row_bytes]
    }

    fn put(&mut self, _: &Range<usize>) {}
}

/// Vectors of 32 bytes: a row of 8 samples fills no longer ones, with which this takes a tenth longer.
/// Without any the other decoder is the faster one.
fn isa() -> Option<Isa> {
    Isa::supported().last().copied()
}
