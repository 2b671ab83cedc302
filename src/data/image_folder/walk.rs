//! The image files below a folder, symlinks followed.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};

use crate::data::FileNote;
use crate::error::{Action, Error, Result};

/// Files with these extensions, in any case, are images.
const EXTENSIONS: [&str; 8] = ["jpg", "jpeg", "png", "webp", "bmp", "gif", "tif", "tiff"];

/// Every image at any depth below `dir`, sorted by folder, then file name.
pub(crate) fn walk_images(dir: &Path, skipped: &mut Vec<FileNote>) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut pending = vec![dir.to_path_buf()];
    let mut visited = HashSet::new();
    while let Some(dir) = pending.pop() {
        // Symlinks may lead to an ancestor, or to one folder along many ways.
        let Some(real) = unless_gone(fs::canonicalize(&dir), &dir, skipped)? else { continue };
        if !visited.insert(real) {
            let reason = "is a symlink to a folder that this class already includes".to_owned();
            skipped.push(FileNote { path: dir, reason });
            continue;
        }
        let mut folders = Vec::new();
        let Some(entries) = unless_gone(read_entries(&dir), &dir, skipped)? else { continue };
        for entry in entries {
            match entry.kind() {
                Kind::Folder => folders.push(entry.path),
                Kind::Image => files.push(entry.path),
                Kind::OtherFile => {
                    skipped.push(entry.skip("does not have the extension of an image"))
                }
                Kind::Unusable(reason) => skipped.push(entry.skip(reason)),
            }
        }
        pending.extend(folders.into_iter().rev());
    }
    files.sort_by_cached_key(|path| folder_then_name(path));
    Ok(files)
}

/// torchvision sorts folders as strings, and the files within each.
fn folder_then_name(path: &Path) -> (Vec<u8>, Vec<u8>) {
    let bytes = |part: Option<&OsStr>| part.unwrap_or_default().as_encoded_bytes().to_vec();
    (bytes(path.parent().map(Path::as_os_str)), bytes(path.file_name()))
}

/// An entry of a folder, symlinks followed.
pub(crate) struct Entry {
    pub(crate) path: PathBuf,
    target: io::Result<Metadata>,
}

/// What an entry is to the scan.
pub(crate) enum Kind {
    Folder,
    Image,
    OtherFile,
    Unusable(&'static str),
}

impl Entry {
    pub(crate) fn name(&self) -> &OsStr {
        self.path.file_name().unwrap_or_default()
    }

    pub(crate) fn kind(&self) -> Kind {
        match &self.target {
            Ok(target) if target.is_dir() => Kind::Folder,
            Ok(target) if target.is_file() && has_image_extension(&self.path) => Kind::Image,
            Ok(target) if target.is_file() => Kind::OtherFile,
            Ok(_) => Kind::Unusable("is neither a file nor a folder"),
            Err(_) => Kind::Unusable("cannot be read: a broken symlink, or no permission"),
        }
    }

    pub(crate) fn skip(&self, reason: &str) -> FileNote {
        FileNote { path: self.path.clone(), reason: reason.to_owned() }
    }
}

/// Whether a scan takes a file of this name for an image.
pub(crate) fn has_image_extension(path: &Path) -> bool {
    path.extension().is_some_and(|extension| {
        EXTENSIONS.iter().any(|known| extension.eq_ignore_ascii_case(known))
    })
}

/// What is in a folder, hidden entries left out, sorted by name.
pub(crate) fn list(dir: &Path) -> Result<Vec<Entry>> {
    read_entries(dir).map_err(Error::io(Action::Read, dir))
}

/// What came of reading the folder `dir`; `None`, and a note, when it has been deleted since it was
/// listed.
fn unless_gone<T>(
    result: io::Result<T>,
    dir: &Path,
    skipped: &mut Vec<FileNote>,
) -> Result<Option<T>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let reason = "was deleted while the data set was read".to_owned();
            skipped.push(FileNote { path: dir.to_path_buf(), reason });
            Ok(None)
        }
        result => result.map(Some).map_err(Error::io(Action::Read, dir)),
    }
}

fn read_entries(dir: &Path) -> io::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if !is_hidden(&path) {
            entries.push(Entry { target: fs::metadata(&path), path });
        }
    }
    entries.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    Ok(entries)
}

fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}
