//! RGB pixels to the backbone's input.

use fast_image_resize::images::{TypedCroppedImage, TypedImage, TypedImageRef};
use fast_image_resize::pixels::U8x3;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};
use image::RgbImage;
use pulp::Simd;
use serde::Serialize;

use crate::config;
use crate::kernels::isa::{Isa, Kernel};

/// torchvision's preprocessing for evaluation: the shorter side is resized, the centre is cut out,
/// the channels are normalized. Deterministic, and equal for training's view 0 and serving.
///
/// Equal to `Resize(resize, antialias=True)` on a Pillow image followed by `CenterCrop(crop)`, but
/// only the part of the source that the crop shows is resized. Rounding differs: by about 0.2 of
/// 255 levels on average.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct EvalTransform {
    /// Shorter side after resizing, in pixels. Less than `crop` counts as `crop`.
    pub resize: u32,
    /// Side of the square that is cut out, in pixels. Not 0.
    pub crop: u32,
    /// Per channel, RGB; of values from 0 to 1.
    pub mean: [f32; 3],
    /// Per channel, RGB; of values from 0 to 1.
    pub std: [f32; 3],
}

/// What a worker keeps from image to image, so that no image allocates a buffer.
#[derive(Debug, Default)]
pub struct Scratch {
    resizer: Resizer,
    /// `[crop, crop, 3]` u8.
    pub(crate) crop: Vec<u8>,
}

/// Where the crop lies in the resized image, along one of its sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Start,
    Middle,
    End,
}

/// A part of an image, in whole pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rectangle {
    /// Columns to its left.
    pub left: u32,
    /// Rows above it.
    pub top: u32,
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

impl Rectangle {
    /// An image of this size.
    pub fn whole(width: u32, height: u32) -> Self {
        Rectangle { left: 0, top: 0, width, height }
    }
}

impl Scratch {
    /// Resizes a part of `image` to `side` x `side` pixels, bilinear and antialiased, into `crop`.
    /// The part is `shown`: left, top, width and height, counted from the corner of `visible`,
    /// beyond which the filter sees nothing.
    pub(crate) fn resize(
        &mut self,
        image: &RgbImage,
        visible: Rectangle,
        shown: (f64, f64, f64, f64),
        side: u32,
    ) {
        // Every byte is overwritten: only a new size makes this touch memory.
        self.crop.resize((side * side * 3) as usize, 0);
        let (left, top, width, height) = shown;
        let options = ResizeOptions::new()
            .resize_alg(ResizeAlg::Convolution(FilterType::Bilinear))
            .crop(left, top, width, height);
        // The typed call, since the other one compiles every pixel type's kernels into this crate;
        // and a single one, since each compiles them once more.
        let Rectangle { left, top, width, height } = visible;
        let resized =
            TypedImageRef::<U8x3>::from_buffer(image.width(), image.height(), image.as_raw())
                .map_err(|error| error.to_string())
                .and_then(|image| {
                    let source = TypedCroppedImage::new(image, left, top, width, height)
                        .map_err(|error| error.to_string())?;
                    let mut target = TypedImage::<U8x3>::from_buffer(side, side, &mut self.crop)
                        .map_err(|error| error.to_string())?;
                    self.resizer
                        .resize_typed(&source, &mut target, &options)
                        .map_err(|error| error.to_string())
                });
        if let Err(error) = resized {
            unreachable!("the part lies inside of the image: {error}");
        }
    }
}

impl EvalTransform {
    /// The transform of torchvision's ImageNet weights: 256 for IMAGENET1K_V1, 232 for V2.
    pub fn imagenet(resize: u32) -> Self {
        EvalTransform { resize, crop: config::CROP, mean: config::MEAN, std: config::STD }
    }

    /// Resizes, then cuts out the centre: `[crop, crop, 3]` u8, 0 to 255, not yet normalized.
    ///
    /// # Panics
    /// When `image` has no pixels.
    pub fn crop_rgb<'a>(&self, image: &RgbImage, scratch: &'a mut Scratch) -> &'a [u8] {
        self.crop_at(image, [Place::Middle; 2], scratch)
    }

    /// The same, cut out from elsewhere: across, then down.
    pub(super) fn crop_at<'a>(
        &self,
        image: &RgbImage,
        places: [Place; 2],
        scratch: &'a mut Scratch,
    ) -> &'a [u8] {
        let (width, height) = image.dimensions();
        assert!(width > 0 && height > 0, "an image without pixels");
        let shown = self.source_rectangle(width, height, places);
        scratch.resize(image, Rectangle::whole(width, height), shown, self.crop);
        &scratch.crop
    }

    /// The part of a `width` x `height` image that [`apply`](Self::apply) looks at: what the crop
    /// shows and, around it, what the filter reaches. Neither side may be 0.
    pub fn needed(&self, width: u32, height: u32) -> Rectangle {
        let (left, top, shown_width, shown_height) =
            self.source_rectangle(width, height, [Place::Middle; 2]);
        let (left, width) = reached(left, shown_width, self.crop, width);
        let (top, height) = reached(top, shown_height, self.crop, height);
        Rectangle { left, top, width, height }
    }

    /// Values of one image in the backbone's input: `3 * crop * crop`.
    pub fn output_len(&self) -> usize {
        3 * (self.crop * self.crop) as usize
    }

    /// Writes the backbone's input to `out`: `[crop, crop, 3]` f32, normalized. Channels last, as
    /// the pixels come and as the convolutions are fastest.
    ///
    /// # Panics
    /// When `image` has no pixels, or `out` is not of that size.
    pub fn apply(&self, image: &RgbImage, scratch: &mut Scratch, out: &mut [f32]) {
        self.normalize(self.crop_rgb(image, scratch), out);
    }

    /// `[crop, crop, 3]` u8 to f32: `(value / 255 - mean) / std`.
    pub(super) fn normalize(&self, pixels: &[u8], out: &mut [f32]) {
        assert_eq!(pixels.len(), out.len(), "the output must be [crop, crop, 3]");
        let scale = self.std.map(|std| 1.0 / (255.0 * std));
        let bias = std::array::from_fn(|channel| -self.mean[channel] / self.std[channel]);
        Isa::fastest().run(Normalize { pixels, scale, bias, out });
    }

    /// The part of a `width` x `height` image that a crop of the resized image shows: left, top,
    /// width, height, in pixels of the source.
    fn source_rectangle(
        &self,
        width: u32,
        height: u32,
        [across, down]: [Place; 2],
    ) -> (f64, f64, f64, f64) {
        let (resized_width, resized_height) =
            resized_size(width, height, self.resize.max(self.crop));
        let (left, source_width) = source_span(width, resized_width, self.crop, across);
        let (top, source_height) = source_span(height, resized_height, self.crop, down);
        (left, top, source_width, source_height)
    }
}

/// Values that are written at once: whole pixels and whole vectors.
const GROUP: usize = 3 * 16;

/// `out = pixels * scale + bias`, by channel.
struct Normalize<'a> {
    pixels: &'a [u8],
    scale: [f32; 3],
    bias: [f32; 3],
    out: &'a mut [f32],
}

impl Kernel for Normalize<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, _simd: S) {
        let [scale, bias]: [[f32; GROUP]; 2] = [self.scale, self.bias]
            .map(|of_channel| std::array::from_fn(|place| of_channel[place % 3]));
        let (groups, rest) = self.pixels.as_chunks::<GROUP>();
        let (out_groups, out_rest) = self.out.as_chunks_mut::<GROUP>();
        for (values, out) in groups.iter().zip(out_groups) {
            let factors = scale.iter().zip(&bias);
            for ((out, &value), (scale, bias)) in out.iter_mut().zip(values).zip(factors) {
                *out = f32::from(value) * scale + bias;
            }
        }
        for (place, (&value, out)) in rest.iter().zip(out_rest).enumerate() {
            *out = f32::from(value) * scale[place] + bias[place];
        }
    }
}

/// torchvision's rule: the shorter side becomes `resize`, the longer one is truncated.
fn resized_size(width: u32, height: u32, resize: u32) -> (u64, u64) {
    let (width, height, resize) = (u64::from(width), u64::from(height), u64::from(resize));
    if width <= height {
        (resize, resize * height / width)
    } else {
        (resize * width / height, resize)
    }
}

/// One dimension of the crop, mapped back from the resized image: where it starts in the source,
/// how much of the source it shows.
fn source_span(source: u32, resized: u64, crop: u32, place: Place) -> (f64, f64) {
    let (source, resized, crop) = (f64::from(source), resized as f64, f64::from(crop));
    let offset = match place {
        Place::Start => 0.0,
        // Python's round, which torchvision's CenterCrop uses, takes halves to the even neighbour.
        Place::Middle => ((resized - crop) / 2.0).round_ties_even(),
        Place::End => resized - crop,
    };
    let scale = source / resized;
    let start = offset * scale;
    // Rounding must not carry the end beyond the image.
    (start, (crop * scale).min(source - start))
}

/// One dimension of what the filter reads of a `source` image to resize `len` pixels from `start` on
/// to `resized` ones: where it starts, how much it is.
fn reached(start: f64, len: f64, resized: u32, source: u32) -> (u32, u32) {
    // The triangle is as wide as a resized pixel, at least as a pixel, to either side. Two pixels
    // more than that, since it ends between pixels.
    let reach = (len / f64::from(resized)).max(1.0) + 2.0;
    let first = (start - reach).floor().max(0.0) as u32;
    let end = ((start + len + reach).ceil() as u32).min(source);
    (first, end - first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_resized_size_follows_torchvision() {
        // Computed by torchvision's _compute_resized_output_size.
        assert_eq!(resized_size(500, 375, 256), (341, 256));
        assert_eq!(resized_size(333, 500, 232), (232, 348));
        assert_eq!(resized_size(1, 10_000, 256), (256, 2_560_000));
        assert_eq!(resized_size(64, 64, 256), (256, 256));
    }

    #[test]
    fn every_value_is_normalized_by_its_channel() {
        let transform = EvalTransform::imagenet(256);
        for num_pixels in [0, 1, 15, 16, 17, 100] {
            let pixels: Vec<u8> = (0..3 * num_pixels).map(|place| (place * 7) as u8).collect();
            let mut out = vec![f32::NAN; pixels.len()];
            transform.normalize(&pixels, &mut out);
            for (place, (&value, found)) in pixels.iter().zip(out).enumerate() {
                let (mean, std) = (transform.mean[place % 3], transform.std[place % 3]);
                let expected = (f32::from(value) / 255.0 - mean) / std;
                assert!((found - expected).abs() < 2e-6, "{found} instead of {expected}");
            }
        }
    }

    #[test]
    fn the_crop_starts_where_torchvisions_does() {
        // (229 - 224) / 2 = 2.5 goes to 2, (231 - 224) / 2 = 3.5 to 4.
        let middle = |source, resized| source_span(source, resized, 224, Place::Middle);
        assert_eq!(middle(229, 229), (2.0, 224.0));
        assert_eq!(middle(231, 231), (4.0, 224.0));
        assert_eq!(middle(512, 256), (32.0, 448.0));
        assert_eq!(source_span(512, 256, 224, Place::Start), (0.0, 448.0));
        assert_eq!(source_span(512, 256, 224, Place::End), (64.0, 448.0));
    }

    #[test]
    fn what_lies_around_the_needed_part_does_not_matter() {
        let sides = [1, 2, 7, 31, 224, 229, 256, 375, 500, 640, 1023];
        let mut scratch = Scratch::default();
        for (width, height) in sides.iter().flat_map(|&width| sides.map(|height| (width, height))) {
            if width.max(height) > 500 * width.min(height) {
                continue;
            }
            for resize in [232, 256] {
                let transform = EvalTransform::imagenet(resize);
                let needed = transform.needed(width, height);
                let image = RgbImage::from_fn(width, height, |x, y| {
                    image::Rgb([x * 7 + y * 3, x * 31 + y, y * 29].map(|level| level as u8))
                });
                let mut other = RgbImage::from_pixel(width, height, image::Rgb([255, 0, 255]));
                for y in needed.top..needed.top + needed.height {
                    for x in needed.left..needed.left + needed.width {
                        other.put_pixel(x, y, *image.get_pixel(x, y));
                    }
                }
                let expected = transform.crop_rgb(&image, &mut scratch).to_vec();
                let found = transform.crop_rgb(&other, &mut scratch);
                assert!(found == expected, "{width} x {height} resized to {resize}");
            }
        }
        let part = EvalTransform::imagenet(256).needed(640, 480);
        assert!(part.width * part.height < 640 * 480 * 2 / 3, "{part:?}");
    }
}
