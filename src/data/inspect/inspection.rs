//! A data set's report.

use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::{Serialize, Serializer};

use super::balance::judge_sizes;
use super::duplicates::find_duplicates;
use super::finding::Finding;
use super::finding_kind::{FindingKind, Severity};
use super::listing::Listing;
use super::picture;
use crate::data::path_as_text;
use crate::data::resize::Scratch;
use crate::error::Result;

/// What was found in a data set.
#[derive(Debug, Serialize)]
pub struct Inspection {
    /// The data set.
    #[serde(serialize_with = "path_as_text")]
    pub dir: PathBuf,
    /// Files in class folders that have an image's extension.
    pub num_images: usize,
    /// Those of them that a training can use.
    pub num_usable: usize,
    /// The classes of all splits, sorted by name.
    pub classes: Vec<ClassSizes>,
    /// Findings that would hurt a training.
    pub num_errors: usize,
    /// Findings that would not.
    pub num_notes: usize,
    /// By kind, then path.
    pub findings: Vec<Finding>,
}

/// Usable images of a class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassSizes {
    /// Name of the class.
    pub name: String,
    /// In train, valid and test.
    pub num_images: [usize; 3],
}

/// As JSON: `{"name": ..., "train": 5, "valid": 1, "test": 1}`.
impl Serialize for ClassSizes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Row<'a> {
            name: &'a str,
            train: usize,
            valid: usize,
            test: usize,
        }
        let [train, valid, test] = self.num_images;
        Row { name: &self.name, train, valid, test }.serialize(serializer)
    }
}

/// Reads every image below `dir`, on all cores. `on_image` is called on any of them after each file,
/// with the number of files in all.
///
/// Memory: what decoding takes on each core, and 1.5 KB an image.
///
/// # Errors
/// [`Error::InputMissing`](crate::Error::InputMissing) when there is no `dir`;
/// [`Error::BadData`](crate::Error::BadData) when it is no folder. All else is a finding.
pub fn inspect(dir: &Path, on_image: impl Fn(usize) + Sync) -> Result<Inspection> {
    let Listing { class_names, has_folder, images, mut findings } = Listing::of(dir)?;
    let read: Vec<_> = images
        .par_iter()
        .map_init(Scratch::default, |scratch, image| {
            let read = picture::read(&image.path, scratch);
            on_image(images.len());
            read
        })
        .collect();

    let mut classes: Vec<ClassSizes> =
        class_names.into_iter().map(|name| ClassSizes { name, num_images: [0; 3] }).collect();
    let mut pictures = Vec::with_capacity(images.len());
    for (image, (picture, found)) in images.iter().zip(read) {
        classes[image.class].num_images[image.split as usize] += usize::from(picture.is_some());
        findings.extend(found);
        pictures.push(picture);
    }
    let num_usable = pictures.iter().flatten().count();
    let is_listed = [0, 1, 2].map(|split| has_folder.iter().any(|has_folder| has_folder[split]));
    findings.extend(judge_sizes(dir, &classes, &has_folder, is_listed));
    findings.extend(find_duplicates(&images, pictures));
    findings.sort_by(|a, b| (a.kind, &a.paths).cmp(&(b.kind, &b.paths)));
    let num_errors =
        findings.iter().filter(|finding| finding.kind.severity() == Severity::Error).count();
    Ok(Inspection {
        dir: dir.to_path_buf(),
        num_images: images.len(),
        num_usable,
        classes,
        num_errors,
        num_notes: findings.len() - num_errors,
        findings,
    })
}

impl Inspection {
    /// The findings of one kind after the other, in the order of [`FindingKind`].
    pub fn by_kind(&self) -> impl Iterator<Item = (FindingKind, &[Finding])> {
        self.findings.chunk_by(|a, b| a.kind == b.kind).map(|group| (group[0].kind, group))
    }
}
