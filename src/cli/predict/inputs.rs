//! The image files that a command line means.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::data::image_folder::walk::{has_image_extension, walk_images};
use crate::error::{Action, Error, Result};

/// What is to be classified, in the order of the command line.
#[derive(Debug, Default)]
pub(super) struct Inputs {
    pub(super) images: Vec<PathBuf>,
    /// What was found not to be one.
    pub(super) failures: Vec<Failure>,
}

/// Something that cannot be classified.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) path: PathBuf,
    pub(super) reason: String,
}

/// Files count whatever they are called; of a folder those with an image's extension, at any depth,
/// sorted as a training sorts those of a class. `-` stands for a list on stdin.
///
/// # Errors
/// [`Error::Io`] when stdin cannot be read.
pub(super) fn find_images(paths: &[PathBuf]) -> Result<Inputs> {
    let mut inputs = Inputs::default();
    for path in paths {
        if path.as_os_str() == "-" {
            let mut list = Vec::new();
            io::stdin()
                .read_to_end(&mut list)
                .map_err(Error::io(Action::Read, "standard input"))?;
            listed(&list).for_each(|path| inputs.add(path));
        } else {
            inputs.add(path);
        }
    }
    Ok(inputs)
}

/// The paths of a list: as `find -print0` writes it if there is a zero byte, else one per line.
fn listed(list: &[u8]) -> impl Iterator<Item = &Path> {
    let end = if list.contains(&0) { 0 } else { b'\n' };
    list.split(move |&byte| byte == end)
        .filter(|path| !path.is_empty())
        .map(|path| Path::new(OsStr::from_bytes(path)))
}

impl Inputs {
    fn add(&mut self, path: &Path) {
        if !fs::metadata(path).is_ok_and(|metadata| metadata.is_dir()) {
            // A file, or nothing: reading it will tell.
            self.images.push(path.to_owned());
            return;
        }
        let mut skipped = Vec::new();
        match walk_images(path, &mut skipped) {
            Ok(images) if images.is_empty() => self.fail(path, "holds no images".into()),
            Ok(images) => self.images.extend(images),
            Err(error) => self.fail(path, error.to_string()),
        }
        for note in skipped {
            // Not the notes and links that lie between the images.
            if has_image_extension(&note.path) && !note.path.is_dir() {
                self.fail(&note.path, note.reason);
            }
        }
    }

    fn fail(&mut self, path: &Path, reason: String) {
        self.failures.push(Failure { path: path.to_owned(), reason });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_lines_or_zero_bytes() {
        let paths = |list: &'static [u8]| listed(list).collect::<Vec<_>>();
        assert_eq!(paths(b"a b.jpg\n\nc.jpg"), [Path::new("a b.jpg"), Path::new("c.jpg")]);
        assert_eq!(paths(b"a\nb.jpg\0c.jpg\0"), [Path::new("a\nb.jpg"), Path::new("c.jpg")]);
        assert!(paths(b"").is_empty());
    }
}
