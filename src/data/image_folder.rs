//! Folders of classes to samples.
//!
//! `{train,valid,test}/<class>/**/<image>`, read as torchvision's `ImageFolder` reads each split:
//! classes are the sorted folder names of `train`, and samples are sorted by folder, then file
//! name. Unlike there, hidden files and folders are ignored, a symlink that leads back into its own
//! class folder ends, and what is not used is listed.

pub(crate) mod walk;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use crate::data::FileNote;
use crate::data::class_index::ClassIndex;
use crate::error::{Action, Error, Result};
use walk::{Kind, list, walk_images};

/// The remedy where the folders are not as they should be.
pub(super) const LAYOUT: &str =
    "Expected are train, valid and test, each with one folder of images per class.";

/// The three parts of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Split {
    /// The head is fitted on it.
    Train,
    /// Hyperparameters and the epoch are chosen on it.
    Valid,
    /// Evaluated once, after everything is chosen.
    Test,
}

impl Split {
    /// In the order of use.
    pub const ALL: [Split; 3] = [Split::Train, Split::Valid, Split::Test];

    /// Name of the split's folder.
    pub fn name(self) -> &'static str {
        match self {
            Split::Train => "train",
            Split::Valid => "valid",
            Split::Test => "test",
        }
    }
}

/// One image file of a split.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// The file.
    pub path: PathBuf,
    /// Its class, an index into the class names.
    pub target: usize,
}

/// A data set on disk.
#[derive(Debug, Clone)]
pub struct ImageFolder {
    /// Holds the folders of the splits.
    pub root: PathBuf,
    /// The classes of `train`.
    pub classes: ClassIndex,
    /// What was passed over, hidden files excepted.
    pub skipped: Vec<FileNote>,
    split_dirs: [PathBuf; 3],
    samples: [Vec<Sample>; 3],
}

impl ImageFolder {
    /// Lists the images below `root`. No image is opened.
    ///
    /// A class of `train` without images in `valid` or `test` is logged as a warning.
    ///
    /// # Errors
    /// [`Error::InputMissing`] when there is no `root`; [`Error::BadData`] when a split is missing
    /// or without images, a class of `train` has none, `valid` or `test` have classes that `train`
    /// lacks, or a class name is not UTF-8; [`Error::Io`] when a folder cannot be listed.
    pub fn scan(root: &Path) -> Result<Self> {
        Self::scan_splits(root, &Split::ALL.map(|split| split.name().into()))
    }

    /// The same with other folders for train, valid and test: names below `root`, or paths of their
    /// own.
    ///
    /// # Errors
    /// As [`ImageFolder::scan`].
    pub fn scan_splits(root: &Path, split_dirs: &[PathBuf; 3]) -> Result<Self> {
        require_root(root)?;
        let split_dirs = split_dirs.each_ref().map(|dir| root.join(dir));
        let mut skipped = Vec::new();
        let [train, valid, test] =
            split_dirs.each_ref().map(|split_dir| scan_split(split_dir, &mut skipped));
        let (train, valid, test) = (train?, valid?, test?);

        let classes = ClassIndex::new(train.keys().cloned());
        let [train_dir, valid_dir, test_dir] = &split_dirs;
        require_images_of_every_class(train_dir, &train)?;
        for (split, split_dir, files) in
            [(Split::Valid, valid_dir, &valid), (Split::Test, test_dir, &test)]
        {
            require_known_classes(split_dir, files, &classes)?;
            warn_of_absent_classes(split, files, &classes);
        }
        let samples = [train, valid, test].map(|files| to_samples(files, &classes));
        Ok(ImageFolder { root: root.to_path_buf(), classes, skipped, split_dirs, samples })
    }

    /// The folder of a split.
    pub fn split_dir(&self, split: Split) -> &Path {
        &self.split_dirs[split as usize]
    }

    /// The path of one of its files as in the layout, `train/001.Affenpinscher/a.jpg`, wherever the
    /// folders of the splits lie.
    pub fn path_in_data_set(&self, split: Split, path: &Path) -> PathBuf {
        Path::new(split.name()).join(path.strip_prefix(self.split_dir(split)).unwrap_or(path))
    }

    /// The folder of the class with this target.
    pub fn class_dir(&self, split: Split, target: usize) -> PathBuf {
        self.split_dir(split).join(self.classes.name(target))
    }

    /// The images of a split, by class, then folder, then file name.
    pub fn samples(&self, split: Split) -> &[Sample] {
        &self.samples[split as usize]
    }

    /// Number of images in all three splits.
    pub fn num_samples(&self) -> usize {
        self.samples.iter().map(Vec::len).sum()
    }
}

/// Checks what decoding left over: `usable` says which samples of `split` decoded.
///
/// # Errors
/// [`Error::BadData`] naming the split's folder when none of its samples is usable, or when it is
/// `train` and a class has none.
pub fn require_all_classes(
    folder: &ImageFolder,
    split: Split,
    usable: impl Fn(&Sample) -> bool,
) -> Result<()> {
    let mut num_usable = vec![0usize; folder.classes.len()];
    for sample in folder.samples(split).iter().filter(|sample| usable(sample)) {
        num_usable[sample.target] += 1;
    }
    let split_dir = folder.split_dir(split);
    if num_usable.iter().all(|&count| count == 0) {
        return Err(Error::bad_data(
            split_dir,
            "not one of its images can be decoded",
            "See the reasons listed above, and replace the files.",
        ));
    }
    let emptied: Vec<&str> = (0..folder.classes.len())
        .filter(|&target| num_usable[target] == 0)
        .map(|target| folder.classes.name(target))
        .collect();
    if split == Split::Train && !emptied.is_empty() {
        return Err(Error::bad_data(
            split_dir,
            format!("no image can be decoded of: {}", emptied.join(", ")),
            "Replace the images of these classes, or remove their folders from every split.",
        ));
    }
    Ok(())
}

/// Image files by class name.
type FilesByClass = BTreeMap<String, Vec<PathBuf>>;

/// # Errors
/// [`Error::InputMissing`] when there is no `root`; [`Error::BadData`] when it is no folder.
pub(super) fn require_root(root: &Path) -> Result<()> {
    match fs::metadata(root) {
        Ok(metadata) if metadata.is_dir() => Ok(()),
        Ok(_) => Err(Error::bad_data(root, "is not a folder", LAYOUT)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Error::InputMissing {
            what: "data set",
            path: root.to_path_buf(),
            remedy: "Paths count from the folder the program is started in. `ec2train fetch` \
                     downloads the data set; `ec2train train --sample` runs without it."
                .to_owned(),
        }),
        Err(error) => Err(Error::io(Action::Read, root)(error)),
    }
}

fn scan_split(split_dir: &Path, skipped: &mut Vec<FileNote>) -> Result<FilesByClass> {
    match fs::metadata(split_dir) {
        Ok(metadata) if metadata.is_dir() => {}
        Ok(_) => return Err(Error::bad_data(split_dir, "is not a folder", LAYOUT)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(Error::bad_data(split_dir, "the folder is missing", LAYOUT));
        }
        Err(error) => return Err(Error::io(Action::Read, split_dir)(error)),
    }

    let scanned = list(split_dir)?.into_par_iter().map(|entry| {
        let mut skipped = Vec::new();
        let class = match entry.kind() {
            Kind::Folder => {
                let Some(class_name) = entry.name().to_str() else {
                    return Err(Error::bad_data(
                        entry.path,
                        "the class name is not UTF-8",
                        "Rename the folder: class names are stored in model.json as text.",
                    ));
                };
                Some((class_name.to_owned(), walk_images(&entry.path, &mut skipped)?))
            }
            Kind::Image | Kind::OtherFile => {
                skipped.push(entry.skip("lies outside of the class folders"));
                None
            }
            Kind::Unusable(reason) => {
                skipped.push(entry.skip(reason));
                None
            }
        };
        Ok((class, skipped))
    });
    let mut files_by_class = FilesByClass::new();
    for scanned in scanned.collect::<Vec<_>>() {
        let (class, of_entry) = scanned?;
        files_by_class.extend(class);
        skipped.extend(of_entry);
    }
    if files_by_class.values().all(Vec::is_empty) {
        return Err(Error::bad_data(split_dir, "no images in class folders", LAYOUT));
    }
    Ok(files_by_class)
}

fn require_images_of_every_class(train_dir: &Path, train: &FilesByClass) -> Result<()> {
    let empty: Vec<&str> =
        train.iter().filter(|(_, files)| files.is_empty()).map(|(name, _)| name.as_str()).collect();
    if empty.is_empty() {
        return Ok(());
    }
    Err(Error::bad_data(
        train_dir,
        format!("no images in: {}", empty.join(", ")),
        "Add images to these class folders, or remove them from every split.",
    ))
}

fn require_known_classes(
    split_dir: &Path,
    files: &FilesByClass,
    classes: &ClassIndex,
) -> Result<()> {
    let unknown: Vec<&str> =
        files.keys().map(String::as_str).filter(|name| classes.idx(name).is_none()).collect();
    if unknown.is_empty() {
        return Ok(());
    }
    Err(Error::bad_data(
        split_dir,
        format!("has classes that train lacks: {}", unknown.join(", ")),
        "Add them to train, rename them as there, or remove them.",
    ))
}

fn warn_of_absent_classes(split: Split, files: &FilesByClass, classes: &ClassIndex) {
    let absent: Vec<&str> = classes
        .class_names()
        .iter()
        .map(String::as_str)
        .filter(|&name| files.get(name).is_none_or(Vec::is_empty))
        .collect();
    if !absent.is_empty() {
        log::warn!(
            "{} has no images of {} classes, which are not measured there: {}",
            split.name(),
            absent.len(),
            absent.join(", ")
        );
    }
}

fn to_samples(files_by_class: FilesByClass, classes: &ClassIndex) -> Vec<Sample> {
    files_by_class
        .into_iter()
        .filter_map(|(name, files)| Some((classes.idx(&name)?, files)))
        .flat_map(|(target, files)| files.into_iter().map(move |path| Sample { path, target }))
        .collect()
}
