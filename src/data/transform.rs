//! RGB pixels to the backbone's input.

use image::RgbImage;
use pulp::Simd;
use serde::Serialize;

use super::resize::Scratch;
use super::section::{Rectangle, Section};
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

/// Where the crop lies in the resized image, along one of its sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Start,
    Middle,
    End,
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
        let (width, height) = image.dimensions();
        scratch.resize(image, &self.section(width, height))
    }

    /// What the crop shows of a `width` x `height` image.
    ///
    /// # Panics
    /// When a side is 0.
    pub fn section(&self, width: u32, height: u32) -> Section {
        self.section_at(width, height, [Place::Middle; 2])
    }

    /// The same, cut out from elsewhere: across, then down.
    pub(super) fn section_at(
        &self,
        width: u32,
        height: u32,
        [across, down]: [Place; 2],
    ) -> Section {
        assert!(width > 0 && height > 0, "an image without pixels");
        let (resized_width, resized_height) =
            resized_size(width, height, self.resize.max(self.crop));
        let (left, shown_width) = source_span(width, resized_width, self.crop, across);
        let (top, shown_height) = source_span(height, resized_height, self.crop, down);
        Section {
            left,
            top,
            width: shown_width,
            height: shown_height,
            ..Section::of(Rectangle::whole(width, height), self.crop)
        }
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
    pub(crate) fn normalize(&self, pixels: &[u8], out: &mut [f32]) {
        assert_eq!(pixels.len(), out.len(), "the output must be [crop, crop, 3]");
        let scale = self.std.map(|std| 1.0 / (255.0 * std));
        let bias = std::array::from_fn(|channel| -self.mean[channel] / self.std[channel]);
        Isa::fastest().run(Normalize { pixels, scale, bias, out });
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
                let needed = transform.section(width, height).needed();
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
        let part = EvalTransform::imagenet(256).section(640, 480).needed();
        assert!(part.width * part.height < 640 * 480 * 2 / 3, "{part:?}");
    }
}
