//! The views of an image that a model can be asked about together.

use image::RgbImage;

use super::transform::{EvalTransform, Place, Scratch};
use super::view::{Views, mirror};

/// The centre and the four corners of the resized image, each as it is, then mirrored: torchvision's
/// `Resize(resize)` followed by `TenCrop(crop)`, in another order. View 0 is the eval transform's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TenCrop {
    /// Its resizing, its crop's size and its normalization are those of all views.
    pub eval: EvalTransform,
}

impl TenCrop {
    /// How many views there are.
    pub const NUM_VIEWS: u32 = 10;
}

/// Across, then down.
const PLACES: [[Place; 2]; 5] = [
    [Place::Middle, Place::Middle],
    [Place::Start, Place::Start],
    [Place::End, Place::Start],
    [Place::Start, Place::End],
    [Place::End, Place::End],
];

impl Views for TenCrop {
    fn output_len(&self) -> usize {
        self.eval.output_len()
    }

    fn apply(
        &self,
        view: u32,
        _: &blake3::Hash,
        image: &RgbImage,
        scratch: &mut Scratch,
        out: &mut [f32],
    ) {
        let places = PLACES[view as usize / 2 % PLACES.len()];
        self.eval.crop_at(image, places, scratch);
        if view % 2 == 1 {
            mirror(&mut scratch.crop, self.eval.crop);
        }
        self.eval.normalize(&scratch.crop, out);
    }
}
