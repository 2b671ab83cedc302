//! Layer4's inputs of a split, read from disk as they are needed.

use super::store::{ActivationStore, Element};
use crate::error::{Error, Result};

/// Which rows of the store are the split's, with their targets.
#[derive(Debug, Clone, Copy)]
pub struct ActivationSplit<'a> {
    /// Holds all of `rows`.
    pub store: &'a ActivationStore,
    /// Content and view of each image.
    pub rows: &'a [(blake3::Hash, u32)],
    /// Class id of each image.
    pub targets: &'a [usize],
}

impl ActivationSplit<'_> {
    /// Writes the inputs of the images `batch`, `[B, 14, 14, 1024]` in the bits of bf16, to `out`.
    ///
    /// # Errors
    /// [`Error::BadData`] when they have become unreadable since the store was opened.
    pub fn read(&self, batch: &[usize], out: &mut Vec<u16>) -> Result<()> {
        out.resize(batch.len() * u16::ROW_LEN, 0);
        for (&index, row) in batch.iter().zip(out.chunks_exact_mut(u16::ROW_LEN)) {
            let (content, view) = &self.rows[index];
            if !self.store.read(content, *view, row) {
                return Err(Error::bad_data(
                    self.store.path(),
                    "activations that were written before cannot be read back",
                    "Start again: they are computed anew. The disk may be failing: `dmesg` shows it.",
                ));
            }
        }
        Ok(())
    }
}
