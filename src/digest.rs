//! SHA-256 of files as hex.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;

use sha2::digest::common::hazmat::SerializableState;
use sha2::{Digest, Sha256};

use crate::error::{Action, Error, Result};
use crate::run::signals;

/// Bytes read at a time.
const BLOCK_BYTES: usize = 1 << 18;
/// A request to stop is noticed this often: a slow disk gives this much in 0.2 s.
const BYTES_BETWEEN_CHECKS: u64 = 8 << 20;

/// The digest as 64 lowercase hex digits.
pub fn hex(hasher: Sha256) -> String {
    hex_digits(&hasher.finalize())
}

/// What a hasher has come to, as hex digits, to go on from another time.
pub fn state(hasher: &Sha256) -> String {
    hex_digits(&hasher.serialize())
}

/// The hasher of a [`state`]; `None` when it is not one.
pub fn from_state(state: &str) -> Option<Sha256> {
    let pairs = state.as_bytes().chunks(2);
    let bytes = pairs.map(|pair| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok());
    let bytes: Vec<u8> = bytes.collect::<Option<_>>()?;
    Sha256::deserialize(&bytes.as_slice().try_into().ok()?).ok()
}

fn hex_digits(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Feeds everything that `reader` still has to `hasher`; returns the number of bytes.
///
/// # Errors
/// Those of `reader`.
pub fn absorb(hasher: &mut Sha256, mut reader: impl Read) -> io::Result<u64> {
    let mut block = vec![0; BLOCK_BYTES];
    let mut num_bytes = 0;
    loop {
        match reader.read(&mut block) {
            Ok(0) => return Ok(num_bytes),
            Ok(n) => {
                hasher.update(&block[..n]);
                num_bytes += n as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// SHA-256 and length in bytes of the file at `path`.
///
/// # Errors
/// [`Error::Io`] with the path; [`Error::Stopped`].
pub fn of_file(path: &Path) -> Result<(String, u64)> {
    let file = File::open(path).map_err(Error::io(Action::Read, path))?;
    let mut hasher = Sha256::new();
    let num_bytes = absorb_checked(&mut hasher, file, path)?;
    Ok((hex(hasher), num_bytes))
}

/// Feeds some bytes of the file at `path` to `hasher`.
///
/// # Errors
/// [`Error::Io`] with the path, also where the file is too short; [`Error::Stopped`].
pub fn absorb_range(hasher: &mut Sha256, path: &Path, range: Range<u64>) -> Result<()> {
    let mut file = File::open(path).map_err(Error::io(Action::Read, path))?;
    file.seek(SeekFrom::Start(range.start)).map_err(Error::io(Action::Read, path))?;
    let len = range.end - range.start;
    if absorb_checked(hasher, file.take(len), path)? < len {
        return Err(Error::io(Action::Read, path)(io::ErrorKind::UnexpectedEof.into()));
    }
    Ok(())
}

/// As [`absorb`]; ends when the run is asked to. `path` is that of the reader's file.
fn absorb_checked(hasher: &mut Sha256, mut reader: impl Read, path: &Path) -> Result<u64> {
    let mut num_bytes = 0;
    loop {
        signals::check()?;
        let part = absorb(hasher, reader.by_ref().take(BYTES_BETWEEN_CHECKS))
            .map_err(Error::io(Action::Read, path))?;
        num_bytes += part;
        if part < BYTES_BETWEEN_CHECKS {
            return Ok(num_bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_the_one_of_fips_180() {
        let mut hasher = Sha256::new();
        assert_eq!(absorb(&mut hasher, &b"abc"[..]).unwrap(), 3);
        assert_eq!(hex(hasher), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn a_file_can_be_absorbed_in_parts() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let content: Vec<u8> = (0..u32::try_from(3 * BYTES_BETWEEN_CHECKS / 8).unwrap())
            .flat_map(u32::to_le_bytes)
            .collect();
        std::fs::write(&path, &content).unwrap();
        let len = content.len() as u64;
        let mut hasher = Sha256::new();
        for range in [0..5, 5..5, 5..len - 1, len - 1..len] {
            absorb_range(&mut hasher, &path, range).unwrap();
        }
        assert_eq!((hex(hasher), len), of_file(&path).unwrap());
        let error = absorb_range(&mut Sha256::new(), &path, 1..len + 1).unwrap_err();
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    }
}
