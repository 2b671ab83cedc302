//! The sample's image files on disk: `{train,valid,test}/NNN.Name/NNN_kk.jpg`.

use std::collections::HashMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use image::codecs::jpeg::JpegEncoder;
use indicatif::ProgressBar;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::classes::{CLASSES, Class};
use super::picture::draw_picture;
use crate::error::{Action, Error, Result};

/// Folders of the sample, and how many images each class has there.
pub const SPLITS: [(&str, usize); 3] = [("train", 5), ("valid", 1), ("test", 1)];
/// Lists what was drawn: a line with the generator's version, then `<blake3> <path>` per image.
/// Hidden, so that no reader of image folders takes it for data.
pub const MANIFEST: &str = ".sample-manifest";
/// Raise it when the same code would draw other bytes.
const VERSION: &str = "ec2train sample 1";
/// Of 1 to 100; near the usual setting of cameras and web sites.
const JPEG_QUALITY: u8 = 80;

/// What [`draw`] found and did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DrawSummary {
    /// Images of the whole sample.
    pub num_images: usize,
    /// Images that had to be drawn; 0 when all were there, unchanged.
    pub num_drawn: usize,
}

/// An image of the sample, by what it shows.
#[derive(Clone, Copy)]
struct Item {
    split: usize,
    class: usize,
    index: usize,
}

impl Item {
    fn all() -> Vec<Item> {
        let per_class = |class| {
            SPLITS.iter().enumerate().flat_map(move |(split, &(_, count))| {
                (0..count).map(move |index| Item { split, class, index })
            })
        };
        (0..CLASSES.len()).flat_map(per_class).collect()
    }

    /// Relative to the sample's root, with `/` on every system.
    fn path(self) -> String {
        let (split, _) = SPLITS[self.split];
        let folder = Class::folder(self.class);
        format!("{split}/{folder}/{:03}_{split}_{}.jpg", self.class + 1, self.index + 1)
    }

    /// The file's bytes; they depend on nothing but this item.
    fn jpeg(self) -> Result<Vec<u8>> {
        let seed = ((self.class as u64) << 32) | ((self.split as u64) << 16) | self.index as u64;
        let picture = draw_picture(&CLASSES[self.class], &mut ChaCha8Rng::seed_from_u64(seed));
        let mut bytes = Vec::new();
        JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY)
            .encode_image(&picture)
            .map_err(|error| Error::Internal(format!("JPEG encoder: {error}")))?;
        Ok(bytes)
    }
}

/// Draws the sample below `root`, one step of `progress` per image.
///
/// An image that the manifest of an earlier run vouches for is left alone, every other one is drawn
/// (again). Images of an older version of the sample are removed; other files are not touched.
///
/// # Errors
/// When a folder or file cannot be read or written.
pub fn draw(root: &Path, progress: &ProgressBar) -> Result<DrawSummary> {
    let items = Item::all();
    progress.set_length(items.len() as u64);
    let known = read_manifest(root)?;
    for item in &items {
        let folder = root.join(item.path());
        let folder = folder.parent().unwrap_or(root);
        fs::create_dir_all(folder).map_err(Error::io(Action::Create, folder))?;
    }
    let drawn: Vec<(String, bool)> = items
        .par_iter()
        .map(|item| {
            let path = item.path();
            let outcome = match known.get(&path) {
                Some(hash) if file_has_hash(&root.join(&path), hash) => (hash.clone(), false),
                _ => {
                    let bytes = item.jpeg()?;
                    write_atomically(&root.join(&path), &bytes)?;
                    (blake3::hash(&bytes).to_hex().to_string(), true)
                }
            };
            progress.inc(1);
            Ok(outcome)
        })
        .collect::<Result<_>>()?;

    let num_drawn = drawn.iter().filter(|(_, is_new)| *is_new).count();
    let mut manifest = format!("{VERSION}\n");
    let paths: Vec<String> = items.iter().map(|item| item.path()).collect();
    for (path, (hash, _)) in paths.iter().zip(&drawn) {
        manifest.push_str(&format!("{hash} {path}\n"));
    }
    if num_drawn > 0 {
        write_atomically(&root.join(MANIFEST), manifest.as_bytes())?;
    }
    Ok(DrawSummary { num_images: items.len(), num_drawn })
}

/// Hash by path; empty when there is no manifest or another version wrote it.
fn read_manifest(root: &Path) -> Result<HashMap<String, String>> {
    let path = root.join(MANIFEST);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(HashMap::new()),
        Err(error) => return Err(Error::io(Action::Read, &path)(error)),
    };
    let mut lines = text.lines();
    if lines.next() != Some(VERSION) {
        return Ok(HashMap::new());
    }
    let entry = |line: &str| {
        line.split_once(' ').map(|(hash, path)| (path.to_string(), hash.to_string()))
    };
    Ok(lines.filter_map(entry).collect())
}

fn file_has_hash(path: &Path, hash: &str) -> bool {
    fs::read(path).is_ok_and(|bytes| blake3::hash(&bytes).to_hex().as_str() == hash)
}

/// Writes a file so that it is there whole or not at all.
fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder: PathBuf = path.parent().map(Path::to_path_buf).unwrap_or_default();
    let mut file =
        tempfile::NamedTempFile::new_in(&folder).map_err(Error::io(Action::Create, path))?;
    file.write_all(bytes).map_err(Error::io(Action::Write, path))?;
    file.persist(path).map_err(|error| Error::io(Action::Create, path)(error.error))?;
    Ok(())
}
