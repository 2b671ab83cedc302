//! An image file as a small picture in the page itself.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use image::ExtendedColorType;
use image::codecs::jpeg::JpegEncoder;

use crate::data::decode::decode;
use crate::data::resize::Scratch;
use crate::data::section::{Rectangle, Section};

/// Side of a thumbnail in its file, in pixels: shown at 96, so that it is sharp on a dense screen.
pub(super) const SIDE: u32 = 144;
/// Qualities of the JPEG, the next one where the one before is too large.
const QUALITIES: [u8; 2] = [75, 40];
/// Most bytes of one, before base64 makes four of three. 40 of them are then below a megabyte.
const MAX_BYTES: usize = 16 << 10;

/// A `data:` URI of the middle of the picture in `bytes`, the content of the file at `path`, as upright as the
/// network sees it. `None` of what is no picture.
pub(super) fn draw(path: &Path, bytes: &[u8]) -> Option<String> {
    let decoded = decode(path, bytes).ok()?.image;
    let (width, height) = decoded.dimensions();
    let square = f64::from(width.min(height));
    let left = (f64::from(width) - square) / 2.0;
    let top = (f64::from(height) - square) / 2.0;
    let whole = Section::of(Rectangle::whole(width, height), SIDE);
    let middle = Section { left, top, width: square, height: square, ..whole };
    let mut scratch = Scratch::default();
    let pixels = scratch.resize(&decoded, &middle);
    let jpeg = QUALITIES.iter().find_map(|&quality| {
        let mut bytes = Vec::new();
        let mut encoder = JpegEncoder::new_with_quality(&mut bytes, quality);
        encoder.encode(pixels, SIDE, SIDE, ExtendedColorType::Rgb8).ok()?;
        (bytes.len() <= MAX_BYTES).then_some(bytes)
    })?;
    Some(format!("data:image/jpeg;base64,{}", STANDARD.encode(jpeg)))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use image::{ImageFormat, RgbImage};

    use super::*;

    #[test]
    fn any_size_becomes_a_small_square_jpeg_and_what_is_no_image_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let [wide, tiny, noise, text] =
            ["wide.png", "tiny.png", "noise.png", "text.jpg"].map(|name| dir.path().join(name));
        RgbImage::from_fn(300, 40, |x, _| image::Rgb([x as u8, 0, 0])).save(&wide).unwrap();
        RgbImage::new(1, 1).save(&tiny).unwrap();
        let noisy = |x: u32, y: u32| (x.wrapping_mul(2_654_435_761) ^ y.wrapping_mul(40_503)) as u8;
        let pixel = |x, y| image::Rgb([noisy(x, y), noisy(y, x), noisy(x + 7, y)]);
        RgbImage::from_fn(144, 144, pixel).save(&noise).unwrap();
        fs::write(&text, "no image").unwrap();
        let thumbnails =
            [&wide, &tiny, &noise, &text].map(|path| draw(path, &fs::read(path).unwrap()));
        assert_eq!(thumbnails[3], None);
        for uri in thumbnails[..2].iter().flatten() {
            let jpeg =
                STANDARD.decode(uri.strip_prefix("data:image/jpeg;base64,").unwrap()).unwrap();
            assert!(jpeg.len() <= MAX_BYTES);
            let image = image::load_from_memory_with_format(&jpeg, ImageFormat::Jpeg).unwrap();
            assert_eq!((image.width(), image.height()), (SIDE, SIDE));
        }
        assert!(thumbnails[..2].iter().all(Option::is_some));
    }
}
