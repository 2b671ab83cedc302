//! A file with a fingerprint of what was written to it.

use std::fmt;
use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::sync::Arc;

use xxhash_rust::xxh3::Xxh3;

/// Bytes written at once, so that they are still in the cache when the fingerprint is taken.
const PIECE: usize = 1 << 18;

/// Two files that were written with the same fingerprint have the same bytes.
pub(super) struct FingerprintedFile {
    file: Arc<File>,
    /// Fed with all that was written, and the places that were gone to, in their order.
    writes: Box<Xxh3>,
}

impl FingerprintedFile {
    pub(super) fn new(file: Arc<File>) -> Self {
        FingerprintedFile { file, writes: Box::default() }
    }

    /// XXH3-128 in hexadecimal digits: no protection against intent.
    pub(super) fn fingerprint(&self) -> String {
        format!("{:032x}", self.writes.digest128())
    }
}

impl fmt::Debug for FingerprintedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FingerprintedFile").field("file", &self.file).finish_non_exhaustive()
    }
}

impl Write for FingerprintedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let num_written = (&*self.file).write(&bytes[..bytes.len().min(PIECE)])?;
        self.writes.update(&bytes[..num_written]);
        Ok(num_written)
    }

    fn flush(&mut self) -> io::Result<()> {
        (&*self.file).flush()
    }
}

impl Seek for FingerprintedFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let place = (&*self.file).seek(to)?;
        self.writes.update(&place.to_le_bytes());
        Ok(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_bytes_at_the_same_places_have_the_same_fingerprint() {
        let fingerprint = |parts: &[&[u8]], place| {
            let mut file = FingerprintedFile::new(Arc::new(tempfile::tempfile().unwrap()));
            parts.iter().for_each(|part| file.write_all(part).unwrap());
            file.seek(SeekFrom::Start(place)).unwrap();
            file.write_all(b"patch").unwrap();
            file.fingerprint()
        };
        // More than is written at once.
        let bytes: Vec<u8> = (0..3 * PIECE + 5).map(|index| (index % 253) as u8).collect();
        let whole = fingerprint(&[&bytes], 7);
        assert_eq!(whole.len(), 32);
        assert_eq!(fingerprint(&[&bytes[..100], &bytes[100..]], 7), whole);
        assert_ne!(fingerprint(&[&bytes], 8), whole);
        let mut other = bytes.clone();
        other[2 * PIECE] ^= 1;
        assert_ne!(fingerprint(&[&other], 7), whole);
    }
}
