//! The same picture in several files.

use std::collections::HashMap;

use super::finding::Finding;
use super::finding_kind::FindingKind;
use super::fingerprint::Fingerprint;
use super::listing::ImagePath;
use super::picture::Picture;
use super::similar::{Group, find_similar};

/// Files with the same bytes, and files whose pictures look alike. `pictures` are those of `images`,
/// in the same order; `None` where a file cannot be used.
pub(super) fn find_duplicates(
    images: &[ImagePath],
    pictures: Vec<Option<Picture>>,
) -> Vec<Finding> {
    // Indices of the images with each content, the contents in the order of the first of them.
    let mut files: Vec<Vec<usize>> = Vec::new();
    let mut places: HashMap<blake3::Hash, usize> = HashMap::new();
    let mut prints: Vec<(usize, Fingerprint)> = Vec::new();
    for (image, picture) in pictures.into_iter().enumerate() {
        let Some(Picture { content, fingerprint }) = picture else { continue };
        let place = *places.entry(content).or_insert_with(|| {
            prints.extend(fingerprint.map(|fingerprint| (files.len(), fingerprint)));
            files.push(Vec::new());
            files.len() - 1
        });
        files[place].push(image);
    }
    let copies = files.iter().filter(|copies| copies.len() > 1);
    let mut findings: Vec<Finding> = copies
        .flat_map(|copies| {
            let kinds = [
                FindingKind::DuplicateAcrossClasses,
                FindingKind::DuplicateAcrossSplits,
                FindingKind::Duplicate,
            ];
            judge(images, copies, kinds, "have the same content")
        })
        .collect();

    let (contents, fingerprints): (Vec<usize>, Vec<Fingerprint>) = prints.into_iter().unzip();
    for Group { members, is_mirrored } in find_similar(&fingerprints) {
        let mut alike: Vec<usize> =
            members.iter().flat_map(|&member| files[contents[member]].iter().copied()).collect();
        alike.sort_unstable();
        let kinds = [
            FindingKind::NearDuplicateAcrossClasses,
            FindingKind::NearDuplicateAcrossSplits,
            FindingKind::NearDuplicate,
        ];
        let reason = if is_mirrored { "look alike, some mirrored" } else { "look alike" };
        findings.extend(judge(images, &alike, kinds, reason));
    }
    findings
}

/// What it means that these files show one picture: `kinds` are for two classes, two splits, neither.
fn judge(
    images: &[ImagePath],
    files: &[usize],
    [across_classes, across_splits, within]: [FindingKind; 3],
    reason: &str,
) -> Vec<Finding> {
    let files: Vec<&ImagePath> = files.iter().map(|&file| &images[file]).collect();
    let differ_in_class = files.iter().any(|file| file.class != files[0].class);
    let differ_in_split = files.iter().any(|file| file.split != files[0].split);
    let kinds = [
        (differ_in_class, across_classes),
        (differ_in_split, across_splits),
        (!differ_in_class && !differ_in_split, within),
    ];
    let paths: Vec<_> = files.iter().map(|file| file.path.clone()).collect();
    kinds
        .into_iter()
        .filter(|(holds, _)| *holds)
        .map(|(_, kind)| Finding { kind, paths: paths.clone(), reason: reason.to_owned() })
        .collect()
}
