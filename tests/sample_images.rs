//! The sample's images on disk: complete, repeatable, mended after damage.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::Path;

use ec2train::sample::{CLASSES, Class, DrawSummary, draw};

/// Content of every image below `root`, by path.
fn images(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut images = BTreeMap::new();
    for split in ["train", "valid", "test"] {
        for index in 0..CLASSES.len() {
            let folder = format!("{split}/{}", Class::folder(index));
            for entry in fs::read_dir(root.join(&folder)).unwrap() {
                let entry = entry.unwrap();
                let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
                images.insert(path, fs::read(entry.path()).unwrap());
            }
        }
    }
    images
}

#[test]
fn a_damaged_sample_is_mended_to_the_same_bytes_and_a_whole_one_left_alone() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    assert_eq!(draw(root).unwrap(), DrawSummary { num_images: 931, num_drawn: 931 });
    let first = images(root);
    assert_eq!(first.len(), 931);
    let different: HashSet<_> = first.values().collect();
    assert_eq!(different.len(), 931, "every image is another");

    assert_eq!(draw(root).unwrap().num_drawn, 0);

    let paths: Vec<&String> = first.keys().collect();
    fs::remove_file(root.join(paths[3])).unwrap();
    fs::write(root.join(paths[500]), "not an image").unwrap();
    assert_eq!(draw(root).unwrap().num_drawn, 2);
    assert!(images(root) == first, "mended images equal those first drawn");

    // A manifest that vouches for fewer images, as of an interrupted or older run.
    let manifest = root.join(".sample-manifest");
    let text = fs::read_to_string(&manifest).unwrap();
    let kept: String = text.lines().take(1 + 900).map(|line| format!("{line}\n")).collect();
    fs::write(&manifest, kept).unwrap();
    assert_eq!(draw(root).unwrap().num_drawn, 31);
    assert!(images(root) == first, "images drawn again equal those first drawn");
}
