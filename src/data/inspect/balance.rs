//! Classes of very different size.

use std::path::Path;

use super::finding::Finding;
use super::finding_kind::FindingKind;
use super::inspection::ClassSizes;
use crate::data::image_folder::Split;

/// Images of train below which a class is small: fewer hardly show what its images share.
const MIN_TRAIN_IMAGES: usize = 5;
/// Images of train in the largest class for one in the smallest. The dog breeds have 77 and 26.
const MAX_IMBALANCE: usize = 10;

/// What the sizes of the classes say. `classes` counts usable images; `has_folder` tells which splits
/// have a folder of each class, and `is_listed` which splits are there at all.
pub(super) fn judge_sizes(
    root: &Path,
    classes: &[ClassSizes],
    has_folder: &[[bool; 3]],
    is_listed: [bool; 3],
) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut trained: Vec<&ClassSizes> = Vec::new();
    for (class, has_folder) in classes.iter().zip(has_folder) {
        let [num_train, num_held_out @ ..] = class.num_images;
        if !has_folder[Split::Train as usize] {
            continue;
        }
        let dir = |split: Split| root.join(split.name()).join(&class.name);
        if num_train == 0 {
            let reason = "holds no image that can be used: a training would not start";
            findings.push(Finding::new(FindingKind::EmptyClass, dir(Split::Train), reason));
            continue;
        }
        trained.push(class);
        if num_train < MIN_TRAIN_IMAGES {
            let reason = format!("{num_train} usable images, fewer than {MIN_TRAIN_IMAGES}");
            findings.push(Finding::new(FindingKind::SmallClass, dir(Split::Train), reason));
        }
        for (split, num_images) in [Split::Valid, Split::Test].into_iter().zip(num_held_out) {
            if num_images == 0 && is_listed[split as usize] {
                let reason = "no usable image: the class is not measured there";
                findings.push(Finding::new(FindingKind::UnmeasuredClass, dir(split), reason));
            }
        }
    }
    let smallest = trained.iter().min_by_key(|class| class.num_images[0]);
    let largest = trained.iter().max_by_key(|class| class.num_images[0]);
    if let (Some(smallest), Some(largest)) = (smallest, largest)
        && largest.num_images[0] > MAX_IMBALANCE * smallest.num_images[0]
    {
        let dir = root.join(Split::Train.name());
        findings.push(Finding {
            kind: FindingKind::Imbalance,
            paths: vec![dir.join(&smallest.name), dir.join(&largest.name)],
            reason: format!(
                "{} and {} images of train",
                smallest.num_images[0], largest.num_images[0]
            ),
        });
    }
    findings
}
