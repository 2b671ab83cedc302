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
