//! What an image file's header says that its RGB pixels no longer show.

use std::io::Cursor;
use std::panic;

use image::codecs::gif::GifDecoder;
use image::codecs::png::PngDecoder;
use image::codecs::tiff::TiffDecoder;
use image::codecs::webp::WebPDecoder;
use image::metadata::Orientation;
use image::{
    AnimationDecoder, DynamicImage, ExtendedColorType, ImageDecoder, ImageFormat, ImageResult,
};
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;

use super::finding_kind::FindingKind;

/// What is remarkable about an image that [`decode`](crate::data::decode::decode) could decode.
/// Nothing, where its header cannot be read a second time.
pub(super) fn traits(format: ImageFormat, bytes: &[u8]) -> Vec<(FindingKind, &'static str)> {
    // As in `decode`: a decoder that panics is a bug, and no reason to end.
    panic::catch_unwind(|| match format {
        ImageFormat::Jpeg => Some(jpeg(bytes)),
        ImageFormat::Png => png(bytes).ok(),
        ImageFormat::Gif => gif(bytes).ok(),
        ImageFormat::WebP => webp(bytes).ok(),
        ImageFormat::Tiff => tiff(bytes).ok(),
        _ => None,
    })
    .ok()
    .flatten()
    .unwrap_or_default()
}

fn jpeg(bytes: &[u8]) -> Vec<(FindingKind, &'static str)> {
    let mut decoder = JpegDecoder::new(ZCursor::new(bytes));
    let mut found = Vec::new();
    if decoder.decode_headers().is_err() {
        return found;
    }
    match decoder.input_colorspace() {
        Some(ColorSpace::Luma) => found.push(GRAYSCALE),
        Some(ColorSpace::CMYK | ColorSpace::YCCK) => found.push(CMYK),
        _ => {}
    }
    let orientation = decoder.exif().and_then(|exif| Orientation::from_exif_chunk(exif));
    found.extend(rotated(orientation.unwrap_or(Orientation::NoTransforms)));
    found
}

fn png(bytes: &[u8]) -> ImageResult<Vec<(FindingKind, &'static str)>> {
    let decoder = PngDecoder::new(Cursor::new(bytes))?;
    let is_animated = decoder.is_apng()?;
    let mut found = of_decoder(decoder)?;
    found.extend(is_animated.then_some(ANIMATION));
    Ok(found)
}

fn gif(bytes: &[u8]) -> ImageResult<Vec<(FindingKind, &'static str)>> {
    let mut found = of_decoder(GifDecoder::new(Cursor::new(bytes))?)?;
    let frames = GifDecoder::new(Cursor::new(bytes))?.into_frames();
    found.extend((frames.take(2).count() > 1).then_some(ANIMATION));
    Ok(found)
}

fn webp(bytes: &[u8]) -> ImageResult<Vec<(FindingKind, &'static str)>> {
    let decoder = WebPDecoder::new(Cursor::new(bytes))?;
    let is_animated = decoder.has_animation();
    let mut found = of_decoder(decoder)?;
    found.extend(is_animated.then_some(ANIMATION));
    Ok(found)
}

fn tiff(bytes: &[u8]) -> ImageResult<Vec<(FindingKind, &'static str)>> {
    let mut found = of_decoder(TiffDecoder::new(Cursor::new(bytes))?)?;
    found.extend(has_second_page(bytes).unwrap_or(false).then_some(ANIMATION));
    Ok(found)
}

const GRAYSCALE: (FindingKind, &str) = (FindingKind::Grayscale, "has no colours");
const CMYK: (FindingKind, &str) = (FindingKind::Cmyk, "has four inks instead of three colours");
const ANIMATION: (FindingKind, &str) = (FindingKind::Animation, "holds several pictures");

fn of_decoder(mut decoder: impl ImageDecoder) -> ImageResult<Vec<(FindingKind, &'static str)>> {
    let mut found = Vec::new();
    let color = decoder.color_type();
    match decoder.original_color_type() {
        ExtendedColorType::Cmyk8 | ExtendedColorType::Cmyk16 => found.push(CMYK),
        _ if !color.has_color() => found.push(GRAYSCALE),
        _ => {}
    }
    if color.bytes_per_pixel() > color.channel_count() {
        found.push((FindingKind::SixteenBit, "has more than 8 bits per sample"));
    }
    found.extend(rotated(decoder.orientation()?));
    // An alpha channel that hides nothing is not worth a word.
    if color.has_alpha() {
        let pixels = DynamicImage::from_decoder(decoder)?.into_rgba8();
        if pixels.pixels().any(|pixel| pixel.0[3] < u8::MAX) {
            found.push((FindingKind::Transparent, "has pixels that are not opaque"));
        }
    }
    Ok(found)
}

fn rotated(orientation: Orientation) -> Option<(FindingKind, &'static str)> {
    let reason = match orientation {
        Orientation::NoTransforms => return None,
        Orientation::FlipHorizontal | Orientation::FlipVertical => {
            "its EXIF data says that it is mirrored"
        }
        Orientation::Rotate180 => "its EXIF data says that it is upside down",
        _ => "its EXIF data says that it lies on its side",
    };
    Some((FindingKind::ExifRotated, reason))
}

/// Whether the first directory of a classic TIFF names a second one (TIFF 6.0, section 2).
fn has_second_page(bytes: &[u8]) -> Option<bool> {
    let is_little = bytes.starts_with(b"II*\0");
    let number = |start: usize, len: usize| -> Option<usize> {
        let field = bytes.get(start..start.checked_add(len)?)?;
        let shift = |number: usize, byte: &u8| number << 8 | usize::from(*byte);
        Some(if is_little {
            field.iter().rev().fold(0, shift)
        } else {
            field.iter().fold(0, shift)
        })
    };
    let directory = number(4, 4)?;
    let num_entries = number(directory, 2)?;
    Some(number(directory + 2 + 12 * num_entries, 4)? != 0)
}
