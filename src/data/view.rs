//! The views of an image that the head learns from.

use image::RgbImage;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use super::random_crop::random_crop;
use super::resize::Scratch;
use super::section::{Rectangle, Section};
use super::transform::EvalTransform;
use crate::config;

/// Separates the seeds of views from anything else that is derived from a content's hash.
const SEED_CONTEXT: &str = "ec2train 2025 seed of an image's random view";

/// What of an image is taken through the backbone.
pub trait Views: Sync {
    /// Its crop's size and its normalization are those of all views.
    fn eval(&self) -> &EvalTransform;

    /// What a view shows of a `width` x `height` image whose file has this `content`. Neither side may be 0.
    fn section(&self, view: u32, content: &blake3::Hash, width: u32, height: u32) -> Section;

    /// Writes one view of `image`, whose file has this `content`, to `out`: `[crop, crop, 3]` f32,
    /// normalized.
    ///
    /// # Panics
    /// When `image` has no pixels, or `out` is not of that size.
    fn apply(
        &self,
        view: u32,
        content: &blake3::Hash,
        image: &RgbImage,
        scratch: &mut Scratch,
        out: &mut [f32],
    ) {
        let (width, height) = image.dimensions();
        let square = scratch.resize(image, &self.section(view, content, width, height));
        self.eval().normalize(square, out);
    }
}

/// View 0 of an image is the eval transform's; every other one is a random crop, resized, and
/// mirrored half of the time: torchvision's `RandomResizedCrop(crop, scale, ratio)` followed by
/// `RandomHorizontalFlip(0.5)`.
///
/// A view depends on the seed, the content of the image's file and the view's number alone: not on
/// the file's name, nor on the order or the threads in which images are computed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ViewTransform {
    /// View 0; its crop's size and its normalization are those of all views.
    pub eval: EvalTransform,
    /// Smallest and largest part of the image's area that a random crop shows.
    pub scale: [f64; 2],
    /// Least and greatest width of a random crop, in heights.
    pub ratio: [f64; 2],
    /// Changes every random crop.
    pub seed: u64,
}

impl ViewTransform {
    /// The views of [`config`] beside this eval transform.
    pub fn new(eval: EvalTransform) -> Self {
        ViewTransform {
            eval,
            scale: config::VIEW_SCALE,
            ratio: config::VIEW_RATIO,
            seed: config::SEED,
        }
    }

    /// Which part of an image of this width and height a view beyond 0 shows, and whether it is
    /// mirrored.
    pub fn draw(&self, view: u32, content: &blake3::Hash, size: (u32, u32)) -> (Rectangle, bool) {
        let mut hasher = blake3::Hasher::new_derive_key(SEED_CONTEXT);
        hasher.update(&self.seed.to_le_bytes());
        hasher.update(content.as_bytes());
        hasher.update(&view.to_le_bytes());
        let mut rng = ChaCha8Rng::from_seed(*hasher.finalize().as_bytes());
        (random_crop(size, self.scale, self.ratio, &mut rng), rng.random())
    }
}

impl Views for ViewTransform {
    fn eval(&self) -> &EvalTransform {
        &self.eval
    }

    fn section(&self, view: u32, content: &blake3::Hash, width: u32, height: u32) -> Section {
        if view == 0 {
            return self.eval.section(width, height);
        }
        let (part, is_mirrored) = self.draw(view, content, (width, height));
        Section { is_mirrored, ..Section::of(part, self.eval.crop) }
    }
}
