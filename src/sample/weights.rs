//! The constructed backbone's file on disk.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use super::backbone::build_backbone;
use super::manifest::{self, Manifest};
use crate::atomic_file;
use crate::config::SAMPLE_WEIGHTS_FILE;
use crate::error::{Action, Error, Result};

/// Raise it when the same code would write other weights.
const VERSION: &str = "ec2train sample backbone 1";

/// Writes `dir/resnet50-sample.pth` unless it is there, unchanged; whether it had to.
///
/// # Errors
/// When the folder or the file cannot be read or written.
pub fn write(dir: &Path) -> Result<bool> {
    if Manifest::read(dir, VERSION)?.vouches_for(dir, SAMPLE_WEIGHTS_FILE) {
        return Ok(false);
    }
    atomic_file::create_dir(dir)?;
    let path = dir.join(SAMPLE_WEIGHTS_FILE);
    let state_dict = build_backbone();
    atomic_file::replace(&path, |file| state_dict.save_pth(file))?;

    let mut hasher = blake3::Hasher::new();
    File::open(&path)
        .and_then(|file| hasher.update_reader(file).map(|_| ()))
        .map_err(Error::io(Action::Read, &path))?;
    let hash = manifest::hex(&hasher.finalize());
    Manifest { hashes: BTreeMap::from([(SAMPLE_WEIGHTS_FILE.to_owned(), hash)]) }
        .write(dir, VERSION)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn the_file_is_written_once_and_again_when_it_was_damaged() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(SAMPLE_WEIGHTS_FILE);
        assert!(write(dir.path()).unwrap());
        let hash = blake3::hash(&fs::read(&path).unwrap());
        assert!(!write(dir.path()).unwrap());
        fs::write(&path, "damaged").unwrap();
        assert!(write(dir.path()).unwrap());
        assert_eq!(blake3::hash(&fs::read(&path).unwrap()), hash);
    }
}
