//! The sample's image files on disk: `{train,valid,test}/NNN.Name/NNN_kk.jpg`.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use image::codecs::jpeg::JpegEncoder;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::classes::{CLASSES, Class};
use super::manifest::{self, Manifest};
use super::picture::draw_picture;
use crate::atomic_file;
use crate::error::{Error, Result};
use crate::run::console::Progress;
use crate::run::signals;

/// Folders of the sample, and how many images each class has there.
pub const SPLITS: [(&str, usize); 3] = [("train", 5), ("valid", 1), ("test", 1)];
/// Raise it when the same code would draw other bytes.
const VERSION: &str = "ec2train sample images 1";
/// Of 1 to 100; a usual setting of web sites.
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

    /// Draws the file below `root`; the hash of its bytes.
    fn draw(self, root: &Path) -> Result<String> {
        let bytes = self.jpeg()?;
        write_unsynced(&root.join(self.path()), &bytes)?;
        Ok(manifest::hex(&blake3::hash(&bytes)))
    }
}

/// Draws the sample below `root`, and says on stderr how far it is.
///
/// An image that the manifest of an earlier run vouches for is left alone, every other one is drawn
/// (again), so an interrupted or damaged sample is completed. Other files are not touched.
///
/// # Errors
/// When a folder or file cannot be read or written.
pub fn draw(root: &Path) -> Result<DrawSummary> {
    let items = Item::all();
    let known = Manifest::read(root, VERSION)?;
    let missing: Vec<&Item> =
        items.par_iter().filter(|item| !known.vouches_for(root, &item.path())).collect();
    let summary = DrawSummary { num_images: items.len(), num_drawn: missing.len() };
    if missing.is_empty() {
        return Ok(summary);
    }
    let progress = Mutex::new(Progress::new("drawing", "images", missing.len() as u64));
    let drawn: Vec<(String, String)> = missing
        .into_par_iter()
        .map(|item| {
            signals::check()?;
            let hash = item.draw(root)?;
            // A panic elsewhere cannot leave a count half changed.
            progress.lock().unwrap_or_else(PoisonError::into_inner).inc(1);
            Ok((item.path(), hash))
        })
        .collect::<Result<_>>()?;
    progress.into_inner().unwrap_or_else(PoisonError::into_inner).finish();

    let mut hashes: BTreeMap<String, String> = drawn.into_iter().collect();
    for path in items.iter().map(|item| item.path()) {
        if let Some(hash) = known.hashes.get(&path) {
            hashes.entry(path).or_insert_with(|| hash.clone());
        }
    }
    Manifest { hashes }.write(root, VERSION)?;
    Ok(summary)
}

/// Without waiting for the disk a thousand times, which would take longer than drawing: the hashes
/// tell what a failure of the machine spoiled.
fn write_unsynced(path: &Path, bytes: &[u8]) -> Result<()> {
    if let Some(dir) = path.parent() {
        atomic_file::create_dir(dir)?;
    }
    atomic_file::replace_unsynced(path, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::fs;

    /// One image of each split of a few classes; all of them take too long for a debug build.
    fn some_items() -> Vec<Item> {
        Item::all().into_iter().filter(|item| item.class % 40 == 7).collect()
    }

    #[test]
    fn there_are_931_images_and_as_many_paths() {
        let paths: HashSet<String> = Item::all().iter().map(|item| item.path()).collect();
        assert_eq!(paths.len(), 931);
        assert!(paths.contains("valid/049.Checkerboard_medium/049_valid_1.jpg"));
    }

    #[test]
    fn bytes_do_not_depend_on_the_number_of_threads() {
        let draw_with = |num_threads| -> Vec<Vec<u8>> {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(num_threads).build().unwrap();
            pool.install(|| {
                some_items().par_iter().map(|item| item.jpeg()).collect::<Result<_>>().unwrap()
            })
        };
        assert!(draw_with(1) == draw_with(3));
    }

    #[test]
    fn no_two_images_are_the_same() {
        let items = some_items();
        let hashes: HashSet<_> =
            items.iter().map(|item| blake3::hash(&item.jpeg().unwrap())).collect();
        assert_eq!(hashes.len(), items.len());
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("train"), "in the way").unwrap();
        let message = Item::all()[0].draw(root.path()).unwrap_err().to_string();
        assert!(message.contains("train/001.Stripes_horizontal_fine"), "{message}");
    }
}
