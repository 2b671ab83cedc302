//! JPEG bytes to RGB pixels, as far as they decode.

use std::ops::Range;

use image::RgbImage;
use zune_jpeg::JpegDecoder;
use zune_jpeg::errors::DecodeErrors;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::{Decoded, MAX_ALLOC_BYTES, MAX_SIDE, too_large};

const SOI: [u8; 2] = [0xff, 0xd8];
const EOI: [u8; 2] = [0xff, 0xd9];
const START_OF_FRAME_PROGRESSIVE: u8 = 0xc2;
const DEFINE_HUFFMAN_TABLES: u8 = 0xc4;
const START_OF_SCAN: u8 = 0xda;

/// What decoders, libjpeg among them, show where there is no data: all coefficients zero.
const GREY: u8 = 128;
/// Rows of the first group of blocks with 4:2:0 chroma. The decoder leaves leftovers in the group
/// in which the data ends, so an image that ends in its first one holds nothing reliable.
const FIRST_BLOCK_ROWS: usize = 16;
/// From how many places a cut is tried when the tail of a file makes the decoder give up.
const MAX_CUTS: usize = 8;

/// Whether the content is a JPEG, whatever its file is called.
pub(super) fn is_jpeg(bytes: &[u8]) -> bool {
    bytes.starts_with(&SOI)
}

/// Decodes baseline, extended and progressive Huffman JPEGs. The error is the reason alone.
pub(super) fn decode(bytes: &[u8]) -> Result<Decoded, String> {
    let mut decoder = open(bytes, false);
    decoder.decode_headers().map_err(|error| format!("the JPEG header is damaged: {error}"))?;
    let (width, height) = decoder.dimensions().ok_or("the JPEG header has no size")?;
    let structure = Structure::of(bytes);
    if structure.scans.is_empty() {
        return Err("the JPEG ends where its image data would begin".to_owned());
    }

    // A progressive decoder holds 16-bit coefficients of the whole image beside the pixels.
    let bytes_per_pixel = if structure.is_progressive { 3 + 3 * 2 } else { 3 };
    if (width * height) as u64 * bytes_per_pixel > MAX_ALLOC_BYTES {
        return Err(too_large());
    }

    let row_bytes = width * 3;
    let mut pixels = vec![GREY; row_bytes * height];
    let mut failure = decoder.decode_into(&mut pixels).err();
    if failure.is_some() && count_grey_rows(&pixels, row_bytes) == height {
        // Scans before the one that failed may be whole.
        for end in structure.cuts(bytes).take(MAX_CUTS) {
            let shortened = [&bytes[..end], &EOI].concat();
            if open(&shortened, false).decode_into(&mut pixels).is_ok() {
                break;
            }
            pixels.fill(GREY);
        }
    }

    let is_cut_off = !structure.has_end;
    let mut num_missing = count_grey_rows(&pixels, row_bytes);
    if num_missing > 0 && failure.is_none() && !is_cut_off {
        // The bottom is grey, or its data does not decode: only the strict mode tells.
        match confirm_grey_rows(bytes, pixels.len(), row_bytes, num_missing) {
            Ok(()) => num_missing = 0,
            Err(error) => failure = error,
        }
    }
    let is_whole = num_missing == 0 && failure.is_none() && !is_cut_off;
    if !is_whole && (num_missing == height || is_one_colour(&pixels)) {
        return Err("nothing of the JPEG's image data can be decoded".to_owned());
    }
    if num_missing > 0 && height - num_missing <= FIRST_BLOCK_ROWS {
        return Err(format!(
            "only the first {} of {height} rows can be decoded",
            height - num_missing
        ));
    }

    let warning = (!is_whole).then(|| {
        let kind = if is_cut_off { "truncated" } else { "damaged" };
        match failure {
            _ if num_missing > 0 => format!("{kind}: {num_missing} of {height} rows are missing"),
            _ if is_cut_off && structure.is_progressive => {
                "truncated: the scans with the finest detail are missing".to_owned()
            }
            Some(error) => format!("{kind}: {error}"),
            None => format!("{kind}: the end of the file is missing, but no whole row"),
        }
    });
    let image = RgbImage::from_raw(width as u32, height as u32, pixels)
        .ok_or("the JPEG decoder returned too few pixels")?;
    Ok(Decoded { image, warning })
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

/// Number of rows at the bottom in which every sample is [`GREY`].
fn count_grey_rows(pixels: &[u8], row_bytes: usize) -> usize {
    pixels
        .rchunks_exact(row_bytes)
        .take_while(|row| row.iter().all(|&sample| sample == GREY))
        .count()
}

fn is_one_colour(pixels: &[u8]) -> bool {
    let (pixels, _) = pixels.as_chunks::<3>();
    pixels.windows(2).all(|pair| pair[0] == pair[1])
}

/// Decodes once more, strictly and onto another colour: `Ok` when the last `num_rows` rows are grey
/// again, so that the grey is the picture's. The error is the decoder's, if it had one.
fn confirm_grey_rows(
    bytes: &[u8],
    num_bytes: usize,
    row_bytes: usize,
    num_rows: usize,
) -> Result<(), Option<DecodeErrors>> {
    let mut pixels = vec![!GREY; num_bytes];
    open(bytes, true).decode_into(&mut pixels).map_err(Some)?;
    if count_grey_rows(&pixels, row_bytes) < num_rows { Err(None) } else { Ok(()) }
}

/// Where the parts of a JPEG lie.
struct Structure {
    is_progressive: bool,
    /// All that follows the header of the first scan. Empty when there is nothing.
    scans: Range<usize>,
    /// Whether the image is ended by its marker. A marker inside an embedded thumbnail, which lies
    /// in the header, does not count.
    has_end: bool,
}

impl Structure {
    fn of(bytes: &[u8]) -> Structure {
        let mut is_progressive = false;
        let mut position = SOI.len();
        let mut scans = bytes.len()..bytes.len();
        while let Some(&[first, marker]) = bytes.get(position..position + 2) {
            match (first, marker) {
                // Stray and fill bytes between segments are skipped, as the decoder does.
                (0xff, 0x01..=0xfe) => {}
                _ => {
                    position += 1;
                    continue;
                }
            }
            let Some(length) = bytes.get(position + 2..position + 4) else { break };
            let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
            is_progressive |= marker == START_OF_FRAME_PROGRESSIVE;
            position += 2 + length;
            if marker == START_OF_SCAN {
                scans.start = position.min(bytes.len());
                break;
            }
        }
        let has_end = bytes[scans.clone()].windows(2).any(|pair| pair == EOI);
        Structure { is_progressive, scans, has_end }
    }

    /// The starts of the segments between scans, last first: where the file can be ended so that
    /// what is before stays whole. Inside of a scan's data these markers cannot occur.
    fn cuts<'a>(&self, bytes: &'a [u8]) -> impl Iterator<Item = usize> + use<'a> {
        let start = self.scans.start;
        bytes[start..]
            .windows(2)
            .enumerate()
            .rev()
            .filter(|(_, pair)| {
                pair[0] == 0xff && matches!(pair[1], DEFINE_HUFFMAN_TABLES | START_OF_SCAN)
            })
            .map(move |(offset, _)| start + offset)
    }
}
