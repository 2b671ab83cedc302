//! A file that several threads read at once.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// A handle with a place of its own in the file: clones do not move each other.
#[derive(Debug, Clone)]
pub(super) struct SharedFile {
    file: Arc<File>,
    position: u64,
    num_bytes: u64,
}

impl SharedFile {
    /// At the start of a file of `num_bytes` bytes.
    pub(super) fn new(file: File, num_bytes: u64) -> Self {
        SharedFile { file: Arc::new(file), position: 0, num_bytes }
    }
}

impl Read for SharedFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let num_read = self.file.read_at(buffer, self.position)?;
        self.position += num_read as u64;
        Ok(num_read)
    }
}

impl Seek for SharedFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
            SeekFrom::End(offset) => self.num_bytes.checked_add_signed(offset),
        };
        self.position = position.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn clones_read_at_places_of_their_own() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"0123456789").unwrap();
        let mut first = SharedFile::new(file, 10);
        assert_eq!(first.seek(SeekFrom::Start(2)).unwrap(), 2);
        let mut second = first.clone();
        assert_eq!(second.seek(SeekFrom::End(-3)).unwrap(), 7);
        let mut bytes = [0; 2];
        first.read_exact(&mut bytes).unwrap();
        assert_eq!(&bytes, b"23");
        assert_eq!(first.seek(SeekFrom::Current(-1)).unwrap(), 3);
        let mut rest = String::new();
        second.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "789");
        assert_eq!(
            first.seek(SeekFrom::Current(-4)).unwrap_err().kind(),
            io::ErrorKind::InvalidInput
        );
        assert_eq!(first.stream_position().unwrap(), 3);
    }
}
