//! A data set's report: every file read and decoded, nothing trained.

use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::Serialize;

use super::FileNote;
use super::decode::decode;
use super::image_file;
use super::image_folder::{ImageFolder, Sample, Split};
use super::leakage::{Leak, find_leaks};
use crate::error::Result;

/// What was found in a data set.
#[derive(Debug, Serialize)]
pub struct Inspection {
    /// The data set.
    pub dir: PathBuf,
    /// In the order of the head's outputs.
    pub classes: Vec<ClassSizes>,
    /// Class folders that have images but none that can be used.
    pub emptied: Vec<PathBuf>,
    /// Files that cannot be used.
    pub skipped: Vec<FileNote>,
    /// Files that can be used although something is wrong with them.
    pub damaged: Vec<FileNote>,
    /// Files of valid and test whose content is also in train.
    pub leaks: Vec<Leak>,
}

/// Usable images of a class.
#[derive(Debug, Serialize)]
pub struct ClassSizes {
    /// Name of the class.
    pub name: String,
    /// In train, valid and test.
    pub num_images: [usize; 3],
}

/// Reads every image below `dir`, on all cores.
///
/// # Errors
/// As [`ImageFolder::scan`]. An unusable file is a finding, not an error.
pub fn inspect(dir: &Path) -> Result<Inspection> {
    let folder = ImageFolder::scan(dir)?;
    let samples: Vec<(Split, &Sample)> = Split::ALL
        .iter()
        .flat_map(|&split| folder.samples(split).iter().map(move |sample| (split, sample)))
        .collect();
    let read: Vec<Result<(blake3::Hash, Option<String>)>> =
        samples.par_iter().map(|(_, sample)| read(&sample.path)).collect();

    let num_classes = folder.classes.len();
    let mut usable = vec![[0; 3]; num_classes];
    let mut found = vec![[0usize; 3]; num_classes];
    let mut skipped = folder.skipped.clone();
    let mut damaged = Vec::new();
    let mut contents = Vec::new();
    for (&(split, sample), read) in samples.iter().zip(read) {
        let note = |reason| FileNote { path: sample.path.clone(), reason };
        found[sample.target][split as usize] += 1;
        match read {
            Ok((content, warning)) => {
                usable[sample.target][split as usize] += 1;
                contents.push((split, sample.path.as_path(), content));
                damaged.extend(warning.map(note));
            }
            Err(error) => skipped.push(note(error.reason())),
        }
    }
    let emptied = Split::ALL
        .iter()
        .flat_map(|&split| (0..num_classes).map(move |target| (split, target)))
        .filter(|&(split, target)| {
            found[target][split as usize] > 0 && usable[target][split as usize] == 0
        })
        .map(|(split, target)| folder.class_dir(split, target))
        .collect();
    let classes = folder.classes.class_names().iter().zip(usable);
    Ok(Inspection {
        dir: dir.to_path_buf(),
        classes: classes
            .map(|(name, num_images)| ClassSizes { name: name.clone(), num_images })
            .collect(),
        emptied,
        skipped,
        damaged,
        leaks: find_leaks(contents.iter().copied()),
    })
}

fn read(path: &Path) -> Result<(blake3::Hash, Option<String>)> {
    let bytes = image_file::read(path)?.bytes;
    Ok((blake3::hash(&bytes), decode(path, &bytes)?.warning))
}
