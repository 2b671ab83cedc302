//! The folders of a data set, whatever is wrong with them.
//!
//! [`ImageFolder::scan`](crate::data::image_folder::ImageFolder::scan) ends at the first fault that a
//! training cannot go on with; this lists all of them, and the files it would have used.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::content::{self, Content, format_name};
use super::finding::Finding;
use super::finding_kind::FindingKind;
use crate::data::FileNote;
use crate::data::image_folder::walk::{Entry, Kind, list, walk_images};
use crate::data::image_folder::{Split, require_root};
use crate::error::{Error, Result};

/// A file that a training would read.
#[derive(Debug)]
pub(super) struct ImagePath {
    pub(super) path: PathBuf,
    pub(super) split: Split,
    /// An index into [`Listing::class_names`].
    pub(super) class: usize,
}

/// What is in the folders.
#[derive(Debug)]
pub(super) struct Listing {
    /// The classes of all splits, sorted.
    pub(super) class_names: Vec<String>,
    /// Which splits have a folder of each class.
    pub(super) has_folder: Vec<[bool; 3]>,
    /// By split, class, folder, name.
    pub(super) images: Vec<ImagePath>,
    pub(super) findings: Vec<Finding>,
}

/// The files of each class folder; those of a folder that cannot be read are none.
type FilesByClass = BTreeMap<String, Vec<PathBuf>>;

impl Listing {
    /// Lists what is below `root`. Of the files only those without an image's extension are opened.
    ///
    /// # Errors
    /// Those of [`require_root`].
    pub(super) fn of(root: &Path) -> Result<Listing> {
        require_root(root)?;
        let mut findings = Vec::new();
        let splits = Split::ALL.map(|split| list_split(&root.join(split.name()), &mut findings));
        let mut class_names: Vec<String> =
            splits.iter().flatten().flat_map(|files| files.keys().cloned()).collect();
        class_names.sort_unstable();
        class_names.dedup();

        let mut has_folder = vec![[false; 3]; class_names.len()];
        let mut images = Vec::new();
        for (split, files) in Split::ALL.into_iter().zip(splits) {
            for (name, paths) in files.unwrap_or_default() {
                let Ok(class) = class_names.binary_search(&name) else { continue };
                has_folder[class][split as usize] = true;
                images.extend(paths.into_iter().map(|path| ImagePath { path, split, class }));
            }
        }
        let mut listing = Listing { class_names, has_folder, images, findings };
        listing.compare_names(root);
        Ok(listing)
    }

    /// Class names that `train` lacks, and those that people take for the same.
    fn compare_names(&mut self, root: &Path) {
        let mut alike: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (class, name) in self.class_names.iter().enumerate() {
            let words: Vec<&str> = name.split_whitespace().collect();
            alike.entry(words.join(" ").to_lowercase()).or_default().push(class);
            for split in [Split::Valid, Split::Test] {
                if self.has_folder[class][split as usize] && !self.has_folder[class][0] {
                    let path = root.join(split.name()).join(name);
                    let reason = "train has no such class";
                    self.findings.push(Finding::new(FindingKind::UnknownClass, path, reason));
                }
            }
        }
        for classes in alike.into_values().filter(|classes| classes.len() > 1) {
            let folders = classes.iter().flat_map(|&class| {
                let has_folder = self.has_folder[class];
                let name = &self.class_names[class];
                let splits =
                    Split::ALL.into_iter().filter(move |&split| has_folder[split as usize]);
                splits.map(move |split| root.join(split.name()).join(name))
            });
            let paths = folders.collect();
            let reason = "the names differ in case or white space alone".to_owned();
            self.findings.push(Finding { kind: FindingKind::SimilarClassNames, paths, reason });
        }
    }
}

/// The classes of a split; `None` when it cannot be listed.
fn list_split(split_dir: &Path, findings: &mut Vec<Finding>) -> Option<FilesByClass> {
    match fs::metadata(split_dir) {
        Ok(metadata) if metadata.is_dir() => {}
        Ok(_) => {
            let reason = "is not a folder";
            findings.push(Finding::new(FindingKind::MissingSplit, split_dir, reason));
            return None;
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let reason = "the folder is missing";
            findings.push(Finding::new(FindingKind::MissingSplit, split_dir, reason));
            return None;
        }
        Err(error) => {
            findings.push(unreadable(split_dir, error.to_string()));
            return None;
        }
    }
    let entries = match list(split_dir) {
        Ok(entries) => entries,
        Err(error) => {
            findings.push(unreadable(split_dir, error.reason()));
            return None;
        }
    };
    let mut files_by_class = FilesByClass::new();
    for entry in entries {
        match entry.kind() {
            Kind::Folder => {
                if let Some((name, files)) = list_class(&entry, findings) {
                    files_by_class.insert(name, files);
                }
            }
            Kind::Image => {
                let reason = "lies outside of the class folders: a training passes it over";
                findings.push(Finding::new(FindingKind::StrayImage, entry.path, reason));
            }
            Kind::OtherFile => {
                findings.push(explain(entry.skip("lies outside of the class folders")));
            }
            Kind::Unusable(reason) => findings.push(explain(entry.skip(reason))),
        }
    }
    if files_by_class.values().all(Vec::is_empty) {
        let reason = "no images in class folders";
        findings.push(Finding::new(FindingKind::EmptySplit, split_dir, reason));
    }
    Some(files_by_class)
}

/// The class of a folder, and its files.
fn list_class(entry: &Entry, findings: &mut Vec<Finding>) -> Option<(String, Vec<PathBuf>)> {
    let Some(name) = entry.name().to_str() else {
        let reason = "the class name is not UTF-8: a training would not start";
        findings.push(Finding::new(FindingKind::ClassNameNotUtf8, &entry.path, reason));
        return None;
    };
    let mut skipped = Vec::new();
    let files = walk_images(&entry.path, &mut skipped).unwrap_or_else(|error| {
        let path = match &error {
            Error::Io { path, .. } => path.clone(),
            _ => entry.path.clone(),
        };
        findings.push(unreadable(path, error.reason()));
        Vec::new()
    });
    findings.extend(skipped.into_iter().map(explain));
    let mut nested: BTreeMap<&Path, usize> = BTreeMap::new();
    for folder in files.iter().filter_map(|file| file.parent()) {
        if folder != entry.path {
            *nested.entry(folder).or_default() += 1;
        }
    }
    findings.extend(nested.into_iter().map(|(folder, num_images)| {
        let reason = format!("{num_images} images lie in a folder below that of their class");
        Finding::new(FindingKind::NestedFolder, folder, reason)
    }));
    Some((name.to_owned(), files))
}

fn unreadable(path: impl Into<PathBuf>, reason: String) -> Finding {
    Finding::new(FindingKind::Unreadable, path, reason)
}

/// Looks once more at what a scan passes over.
fn explain(note: FileNote) -> Finding {
    let FileNote { path, reason } = note;
    let is_symlink = fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_symlink());
    match fs::metadata(&path) {
        Ok(metadata) if metadata.is_dir() => {
            Finding::new(FindingKind::RepeatedFolder, path, reason)
        }
        Ok(metadata) if metadata.is_file() => match first_content(&path) {
            // Two letters make a BMP, and many a text begins with them.
            Content::Image(format) if format != image::ImageFormat::Bmp => {
                let reason = format!("is a {} image that {reason}", format_name(format));
                Finding::new(FindingKind::UnlistedImage, path, reason)
            }
            Content::UnsupportedImage(name) => {
                let reason = format!("is a {name} image, which is not read");
                Finding::new(FindingKind::UnsupportedFormat, path, reason)
            }
            _ => Finding::new(FindingKind::OtherFile, path, reason),
        },
        Ok(_) => Finding::new(FindingKind::SpecialFile, path, reason),
        Err(error) if is_symlink && error.kind() != io::ErrorKind::PermissionDenied => {
            Finding::new(FindingKind::BrokenSymlink, path, format!("leads nowhere: {error}"))
        }
        Err(error) => unreadable(path, format!("cannot be read: {error}")),
    }
}

/// By the first bytes of a file; of one that cannot be read, nothing is known.
fn first_content(path: &Path) -> Content {
    let mut bytes = Vec::new();
    let read = File::open(path)
        .and_then(|file| file.take(content::NUM_BYTES as u64).read_to_end(&mut bytes));
    if read.is_ok() { Content::of(&bytes) } else { Content::Other }
}
