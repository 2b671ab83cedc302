//! A tensor whose bytes are read in their order.

use std::path::Path;

use super::zip_file::EntryReader;
use super::{Dtype, TensorData};
use crate::error::Result;

/// A tensor in memory, or in a file that is read piece by piece: the caller's buffer stays in the cache and is
/// used again, where a new one for each tensor would come from the operating system page by page.
#[derive(Debug)]
pub struct TensorReader<'a> {
    /// Element type.
    pub dtype: Dtype,
    /// Size of each dimension; empty for a scalar.
    pub shape: Vec<usize>,
    bytes: Bytes<'a>,
}

#[derive(Debug)]
enum Bytes<'a> {
    /// Those that are left.
    InMemory(&'a [u8]),
    InFile {
        path: &'a Path,
        entry: EntryReader,
    },
}

impl<'a> TensorReader<'a> {
    /// Of a tensor in memory.
    pub fn of(tensor: &'a TensorData) -> Self {
        let TensorData { dtype, shape, bytes } = tensor;
        TensorReader { dtype: *dtype, shape: shape.clone(), bytes: Bytes::InMemory(bytes) }
    }

    /// Of a tensor in the file at `path`, whose bytes are all of `entry`.
    pub(super) fn stored(
        path: &'a Path,
        entry: EntryReader,
        dtype: Dtype,
        shape: Vec<usize>,
    ) -> Self {
        TensorReader { dtype, shape, bytes: Bytes::InFile { path, entry } }
    }

    /// Bytes that have not been read.
    pub fn num_left(&self) -> usize {
        match &self.bytes {
            Bytes::InMemory(bytes) => bytes.len(),
            Bytes::InFile { entry, .. } => entry.num_left() as usize,
        }
    }

    /// Reads the next bytes.
    ///
    /// # Errors
    /// Bad data when the file is damaged, which may show with the last bytes only; an I/O error.
    ///
    /// # Panics
    /// When there are fewer.
    pub fn read(&mut self, out: &mut [u8]) -> Result<()> {
        assert!(out.len() <= self.num_left(), "{} bytes are more than are left", out.len());
        match &mut self.bytes {
            Bytes::InMemory(bytes) => {
                let (next, rest) = bytes.split_at(out.len());
                out.copy_from_slice(next);
                *bytes = rest;
                Ok(())
            }
            Bytes::InFile { path, entry } => entry.read(out).map_err(|fault| fault.at(path)),
        }
    }

    /// All of it.
    ///
    /// # Errors
    /// As [`TensorReader::read`].
    pub fn read_all(mut self) -> Result<TensorData> {
        let mut bytes = vec![0; self.num_left()];
        self.read(&mut bytes)?;
        Ok(TensorData { dtype: self.dtype, shape: self.shape, bytes })
    }
}
