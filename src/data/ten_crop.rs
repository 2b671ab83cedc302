//! The views of an image that a model can be asked about together.

use super::section::Section;
use super::transform::{EvalTransform, Place};
use super::view::Views;

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
    fn eval(&self) -> &EvalTransform {
        &self.eval
    }

    fn section(&self, view: u32, _: &blake3::Hash, width: u32, height: u32) -> Section {
        let places = PLACES[view as usize / 2 % PLACES.len()];
        let section = self.eval.section_at(width, height, places);
        Section { is_mirrored: view % 2 == 1, ..section }
    }
}
