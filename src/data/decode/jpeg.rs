//! JPEG bytes to RGB pixels, as far as they decode.
//!
//! [`baseline`] decodes the usual ones that are whole, `zune-jpeg` everything else.

mod baseline;
mod layout;
#[cfg(test)]
mod random_jpeg;
#[cfg(test)]
mod tests;

use image::RgbImage;
use zune_jpeg::JpegDecoder;
use zune_jpeg::errors::DecodeErrors;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::{Decoded, MAX_SIDE, RowSink, too_large};
use layout::{EOI, Layout, SOI};

/// What decoders, libjpeg among them, show where there is no data: all coefficients zero.
const GREY: u8 = 128;
/// The same of a CMYK image, where half of the black ink lies over it.
const GREY_UNDER_BLACK: u8 = 64;
/// Rows of the first group of blocks with 4:2:0 chroma. The decoder leaves leftovers in the group
/// in which the data ends, so an image that ends in its first one holds nothing reliable.
const FIRST_BLOCK_ROWS: usize = 16;
/// From how many places a cut is tried when the tail of a file makes the decoder give up.
const MAX_CUTS: usize = 8;
/// Stands in for the end marker. Behind the marker the decoder would read zeros, which are valid
/// codes, and fill what is missing with noise. Eight bytes of ones, zeros stuffed, are no code of
/// any table: it stops there. It looks ahead by less than eight bytes, so whole images do not
/// notice.
const STOP: [u8; 16] = [0xff, 0, 0xff, 0, 0xff, 0, 0xff, 0, 0xff, 0, 0xff, 0, 0xff, 0, 0xff, 0];

/// Whether the content is a JPEG, whatever its file is called.
pub(super) fn is_jpeg(bytes: &[u8]) -> bool {
    bytes.starts_with(&SOI)
}

/// Decodes baseline, extended and progressive Huffman JPEGs. The error is the reason alone.
pub(super) fn decode(bytes: &[u8], max_alloc_bytes: u64) -> Result<Decoded, String> {
    match baseline::decode(bytes, max_alloc_bytes) {
        Some(image) => Ok(Decoded { image, warning: None, num_missing_rows: 0 }),
        None => decode_unusual(bytes, max_alloc_bytes),
    }
}

/// Gives the rows of a usual JPEG that is whole to `sink`. Returns its width and height; `None` where
/// [`decode`] is needed, whatever became of the rows.
pub(super) fn decode_rows(
    bytes: &[u8],
    max_alloc_bytes: u64,
    sink: &mut dyn RowSink,
) -> Option<(u32, u32)> {
    baseline::decode_rows(bytes, max_alloc_bytes, sink)
}

/// The same by `zune-jpeg` alone: what [`decode_rows`] cannot decode.
pub(super) fn decode_unusual(bytes: &[u8], max_alloc_bytes: u64) -> Result<Decoded, String> {
    let layout = Layout::of(bytes);
    if layout.data.is_empty() {
        return Err("the JPEG ends before its image data".to_owned());
    }
    let stream = [&bytes[..layout.data.end], &STOP].concat();
    let mut decoder = open(&stream, false);
    decoder.decode_headers().map_err(|error| format!("the JPEG header is damaged: {error}"))?;
    let (width, height) = decoder.dimensions().ok_or("the JPEG header has no size")?;

    // A progressive decoder holds 16-bit coefficients of the whole image beside the pixels.
    let bytes_per_pixel = if layout.is_progressive { 3 + 3 * 2 } else { 3 };
    if (width * height) as u64 * bytes_per_pixel > max_alloc_bytes {
        return Err(too_large(max_alloc_bytes));
    }
    let row_bytes = width * 3;
    let mut pixels = vec![GREY; row_bytes * height];
    let mut failure = decoder.decode_into(&mut pixels).err();
    if failure.is_some() && count_grey_rows(&pixels, row_bytes) == height {
        // The scans before the one that failed may be whole.
        for &end in layout.scan_ends.iter().rev().take(MAX_CUTS) {
            pixels.fill(GREY);
            let shortened = [&bytes[..end], &EOI].concat();
            if open(&shortened, false).decode_into(&mut pixels).is_ok() {
                break;
            }
        }
    }

    let mut num_missing = count_grey_rows(&pixels, row_bytes);
    if num_missing > 0 && failure.is_none() && layout.has_end {
        // The bottom is grey, or its data does not decode: only the strict mode tells.
        match confirm_grey_rows(&stream, pixels.len(), row_bytes, num_missing) {
            Ok(()) => num_missing = 0,
            Err(error) => failure = error,
        }
    }
    let is_whole = num_missing == 0 && failure.is_none() && layout.has_end;
    if !is_whole && (num_missing == height || is_one_colour(&pixels)) {
        return Err("nothing of the JPEG's image data can be decoded".to_owned());
    }
    if num_missing > 0 && height - num_missing <= FIRST_BLOCK_ROWS {
        let num_rows = height - num_missing;
        return Err(format!("only the first {num_rows} of {height} rows can be decoded"));
    }

    let warning = (!is_whole).then(|| {
        let kind = if layout.has_end { "damaged" } else { "truncated" };
        match failure {
            _ if num_missing > 0 => format!("{kind}: {num_missing} of {height} rows are missing"),
            _ if layout.is_progressive => format!("{kind}: the finest detail is missing"),
            Some(error) => format!("{kind}: {error}"),
            None => format!("{kind}: the end is missing, but no whole row"),
        }
    });
    let image = RgbImage::from_raw(width as u32, height as u32, pixels)
        .ok_or("the JPEG decoder returned too few pixels")?;
    Ok(Decoded { image, warning, num_missing_rows: num_missing as u32 })
}

/// `strict`: an error instead of grey rows where the data ends early.
fn open(bytes: &[u8], strict: bool) -> JpegDecoder<ZCursor<&[u8]>> {
    let options = DecoderOptions::default()
        .set_max_width(MAX_SIDE as usize)
        .set_max_height(MAX_SIDE as usize)
        .set_strict_mode(strict)
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    JpegDecoder::new_with_options(ZCursor::new(bytes), options)
}

/// Number of rows at the bottom in which every sample is [`GREY`], or [`GREY_UNDER_BLACK`].
fn count_grey_rows(pixels: &[u8], row_bytes: usize) -> usize {
    let count = |grey: u8| {
        let rows = pixels.rchunks_exact(row_bytes);
        rows.take_while(|row| row.iter().all(|&sample| sample == grey)).count()
    };
    count(GREY).max(count(GREY_UNDER_BLACK))
}

fn is_one_colour(pixels: &[u8]) -> bool {
    let (pixels, _) = pixels.as_chunks::<3>();
    pixels.windows(2).all(|pair| pair[0] == pair[1])
}

/// Decodes once more, strictly and onto another colour: `Ok` when the last `num_rows` rows are grey
/// again, so that the grey is the picture's. The error is the decoder's, if it had one.
fn confirm_grey_rows(
    stream: &[u8],
    num_bytes: usize,
    row_bytes: usize,
    num_rows: usize,
) -> Result<(), Option<DecodeErrors>> {
    let mut pixels = vec![!GREY; num_bytes];
    open(stream, true).decode_into(&mut pixels).map_err(Some)?;
    if count_grey_rows(&pixels, row_bytes) < num_rows { Err(None) } else { Ok(()) }
}
