//! The list of generated files with their hashes, by which a later run knows what it need not make.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::Path;

use crate::atomic_file;
use crate::error::{Action, Error, Result};

/// The manifest's name in the folder it describes. Hidden, so that no reader of data takes it in.
pub const FILE_NAME: &str = ".sample-manifest";

/// Hash by path. As a file: a line with the generator's version, then `<blake3> <path>` per file.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    /// Hex digits of the BLAKE3 hash by path, relative to the manifest's folder, with `/`.
    pub hashes: BTreeMap<String, String>,
}

impl Manifest {
    /// What an earlier run of this `version` left in `root`; empty when there was none, or when
    /// another version wrote it.
    ///
    /// # Errors
    /// When there is a manifest that cannot be read.
    pub fn read(root: &Path, version: &str) -> Result<Manifest> {
        let path = root.join(FILE_NAME);
        let text = match fs::read(&path) {
            // Damage makes lines that vouch for nothing.
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(Error::io(Action::Read, &path)(error)),
        };
        let mut lines = text.lines();
        if lines.next() != Some(version) {
            return Ok(Manifest::default());
        }
        let entry = |line: &str| {
            line.split_once(' ').map(|(hash, path)| (path.to_owned(), hash.to_owned()))
        };
        Ok(Manifest { hashes: lines.filter_map(entry).collect() })
    }

    /// Whether `path` below `root` is listed and still has its hash.
    pub fn vouches_for(&self, root: &Path, path: &str) -> bool {
        self.hashes.get(path).is_some_and(|hash| {
            let mut hasher = blake3::Hasher::new();
            let read = fs::File::open(root.join(path)).and_then(|file| {
                hasher.update_reader(file)?;
                Ok(())
            });
            read.is_ok() && *hash == hex(&hasher.finalize())
        })
    }

    /// Replaces the manifest in `root`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, root: &Path, version: &str) -> Result<()> {
        atomic_file::replace(&root.join(FILE_NAME), |file| {
            writeln!(file, "{version}")?;
            self.hashes.iter().try_for_each(|(path, hash)| writeln!(file, "{hash} {path}"))
        })
    }
}

/// The hash as a manifest has it.
pub fn hex(hash: &blake3::Hash) -> String {
    hash.to_hex().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_vouches_for_unchanged_files_of_its_own_version() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("a"), "one").unwrap();
        let hashes = BTreeMap::from([("a".to_owned(), hex(&blake3::hash(b"one")))]);
        Manifest { hashes }.write(root.path(), "v2").unwrap();

        let manifest = Manifest::read(root.path(), "v2").unwrap();
        assert!(manifest.vouches_for(root.path(), "a"));
        assert!(!manifest.vouches_for(root.path(), "b"));
        fs::write(root.path().join("a"), "two").unwrap();
        assert!(!manifest.vouches_for(root.path(), "a"));
        assert_eq!(Manifest::read(root.path(), "v3").unwrap(), Manifest::default());
    }

    #[test]
    fn no_manifest_and_a_damaged_one_vouch_for_nothing() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(Manifest::read(root.path(), "v1").unwrap(), Manifest::default());
        fs::write(root.path().join(FILE_NAME), b"v1\n\xff\xfe\n").unwrap();
        assert_eq!(Manifest::read(root.path(), "v1").unwrap(), Manifest::default());
    }
}
