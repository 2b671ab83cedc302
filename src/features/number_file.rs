//! Numbers on disk that are read as they are needed.

use std::fs::File;
use std::marker::PhantomData;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use bytemuck::Pod;

use crate::error::{Action, Error, Result};

/// Numbers, in this machine's order of bytes, in a file that has no name: nothing is left of it when the process
/// ends, however that comes.
#[derive(Debug)]
pub struct NumberFile<T> {
    file: File,
    /// Which errors name.
    dir: PathBuf,
    numbers: PhantomData<T>,
}

impl<T: Pod> NumberFile<T> {
    /// An empty file on the disk of the folder `dir`.
    ///
    /// # Errors
    /// [`Error::Io`] with the folder.
    pub fn create(dir: &Path) -> Result<Self> {
        let file = tempfile::tempfile_in(dir).map_err(Error::io(Action::Create, dir))?;
        Ok(NumberFile { file, dir: dir.to_path_buf(), numbers: PhantomData })
    }

    /// Writes `numbers` from the one with the number `first` on. Several threads may write elsewhere.
    ///
    /// # Errors
    /// [`Error::Io`] with the folder, as on a full disk.
    pub fn write(&self, first: usize, numbers: &[T]) -> Result<()> {
        let offset = Self::byte_offset(first);
        let written = self.file.write_all_at(bytemuck::cast_slice(numbers), offset);
        written.map_err(Error::io(Action::Write, &self.dir))
    }

    /// Reads numbers from the one with the number `first` on.
    ///
    /// # Errors
    /// [`Error::Io`] with the folder: the disk fails, or they were not written.
    pub fn read(&self, first: usize, numbers: &mut [T]) -> Result<()> {
        let offset = Self::byte_offset(first);
        let read = self.file.read_exact_at(bytemuck::cast_slice_mut(numbers), offset);
        read.map_err(Error::io(Action::Read, &self.dir))
    }

    fn byte_offset(first: usize) -> u64 {
        (first * size_of::<T>()) as u64
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_is_written_anywhere_is_read_back_and_has_no_name() {
        let dir = tempfile::tempdir().unwrap();
        let file = NumberFile::create(dir.path()).unwrap();
        file.write(3, &[4.0, 5.0]).unwrap();
        file.write(0, &[1.0, -2.5, f32::MIN_POSITIVE]).unwrap();
        let mut numbers = [9.0; 3];
        file.read(1, &mut numbers).unwrap();
        assert_eq!(numbers, [-2.5, f32::MIN_POSITIVE, 4.0]);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_was_not_written_and_a_missing_folder_are_errors_that_name_the_folder() {
        let dir = tempfile::tempdir().unwrap();
        let file = NumberFile::<u16>::create(dir.path()).unwrap();
        file.write(0, &[1]).unwrap();
        let missing = dir.path().join("missing");
        for (error, path) in [
            (file.read(0, &mut [0; 2]).unwrap_err(), dir.path()),
            (NumberFile::<f32>::create(&missing).unwrap_err(), &missing),
        ] {
            assert!(error.to_string().contains(&*path.to_string_lossy()), "{error}");
        }
    }
}
