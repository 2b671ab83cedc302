//! Numbers on disk that are read as they are needed.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::error::{Action, Error, Result};

/// f32 values, in this machine's order of bytes, in a file that has no name: nothing is left of it when the
/// process ends, however that comes.
#[derive(Debug)]
pub struct FloatFile {
    file: File,
    /// Which errors name.
    dir: PathBuf,
}

impl FloatFile {
    /// An empty file on the disk of the folder `dir`.
    ///
    /// # Errors
    /// [`Error::Io`] with the folder.
    pub fn create(dir: &Path) -> Result<Self> {
        let file = tempfile::tempfile_in(dir).map_err(Error::io(Action::Create, dir))?;
        Ok(FloatFile { file, dir: dir.to_path_buf() })
    }

    /// Writes `values` from the value with the number `first` on. Several threads may write elsewhere.
    ///
    /// # Errors
    /// [`Error::Io`] with the folder, as on a full disk.
    pub fn write(&self, first: usize, values: &[f32]) -> Result<()> {
        let written = self.file.write_all_at(bytemuck::cast_slice(values), byte_offset(first));
        written.map_err(Error::io(Action::Write, &self.dir))
    }

    /// The values with these numbers, in `buffer`.
    ///
    /// # Errors
    /// [`Error::Io`] with the folder: the disk fails, or they were not written.
    pub fn read<'a>(&self, range: Range<usize>, buffer: &'a mut Vec<f32>) -> Result<&'a [f32]> {
        buffer.resize(range.len(), 0.0);
        let bytes = bytemuck::cast_slice_mut(buffer.as_mut_slice());
        let read = self.file.read_exact_at(bytes, byte_offset(range.start));
        read.map_err(Error::io(Action::Read, &self.dir))?;
        Ok(buffer)
    }
}

fn byte_offset(first: usize) -> u64 {
    (first * size_of::<f32>()) as u64
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_is_written_anywhere_is_read_back_and_has_no_name() {
        let dir = tempfile::tempdir().unwrap();
        let file = FloatFile::create(dir.path()).unwrap();
        file.write(3, &[4.0, 5.0]).unwrap();
        file.write(0, &[1.0, -2.5, f32::MIN_POSITIVE]).unwrap();
        let mut buffer = vec![9.0; 7];
        assert_eq!(file.read(1..4, &mut buffer).unwrap(), [-2.5, f32::MIN_POSITIVE, 4.0]);
        assert_eq!(file.read(0..5, &mut buffer).unwrap().len(), 5);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_was_not_written_and_a_missing_folder_are_errors_that_name_the_folder() {
        let dir = tempfile::tempdir().unwrap();
        let file = FloatFile::create(dir.path()).unwrap();
        file.write(0, &[1.0]).unwrap();
        let missing = dir.path().join("missing");
        for (error, path) in [
            (file.read(0..2, &mut Vec::new()).unwrap_err(), dir.path()),
            (FloatFile::create(&missing).unwrap_err(), &missing),
        ] {
            assert!(error.to_string().contains(&*path.to_string_lossy()), "{error}");
        }
    }
}
