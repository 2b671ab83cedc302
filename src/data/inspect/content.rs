//! What a file holds, by its first bytes.

use image::ImageFormat;

/// Bytes that are enough to tell.
pub(super) const NUM_BYTES: usize = 32;

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// An image that can be decoded, if it is intact.
    Image(ImageFormat),
    /// An image of a format that this program does not read, by its name.
    UnsupportedImage(&'static str),
    /// Anything else.
    Other,
}

impl Content {
    /// Of a file that begins with `bytes`.
    pub(super) fn of(bytes: &[u8]) -> Content {
        match image::guess_format(bytes) {
            Ok(ImageFormat::Avif) => return Content::UnsupportedImage("AVIF"),
            Ok(format) if format.reading_enabled() => return Content::Image(format),
            _ => {}
        }
        // ISO base media files name their brand behind a box length and "ftyp".
        let brand = bytes.get(4..12).and_then(|field| field.strip_prefix(b"ftyp"));
        match brand {
            Some(b"heic" | b"heix" | b"hevc" | b"heim" | b"heis" | b"mif1" | b"msf1") => {
                Content::UnsupportedImage("HEIC")
            }
            Some(b"avif" | b"avis") => Content::UnsupportedImage("AVIF"),
            _ if bytes.starts_with(&[0xff, 0x0a]) || bytes.get(4..8) == Some(b"JXL ") => {
                Content::UnsupportedImage("JPEG XL")
            }
            _ if bytes.starts_with(b"8BPS") => Content::UnsupportedImage("Photoshop"),
            _ if bytes.get(4..8) == Some(b"jP  ") => Content::UnsupportedImage("JPEG 2000"),
            _ => Content::Other,
        }
    }
}

/// As people write it.
pub(super) fn format_name(format: ImageFormat) -> &'static str {
    match format {
        ImageFormat::Jpeg => "JPEG",
        ImageFormat::Png => "PNG",
        ImageFormat::Gif => "GIF",
        ImageFormat::WebP => "WebP",
        ImageFormat::Tiff => "TIFF",
        ImageFormat::Bmp => "BMP",
        _ => "another format",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_tell() {
        let of = |bytes: &[u8]| Content::of(bytes);
        assert_eq!(of(b"\xff\xd8\xff\xe0"), Content::Image(ImageFormat::Jpeg));
        assert_eq!(of(b"\x89PNG\r\n\x1a\n"), Content::Image(ImageFormat::Png));
        assert_eq!(of(b"\0\0\0\x18ftypheic\0\0\0\0"), Content::UnsupportedImage("HEIC"));
        assert_eq!(of(b"\0\0\0\x1cftypavif\0\0\0\0"), Content::UnsupportedImage("AVIF"));
        assert_eq!(of(b"PK\x03\x04"), Content::Other);
        assert_eq!(of(b""), Content::Other);
    }
}
