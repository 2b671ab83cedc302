//! Where a network takes its tensors from.

use std::borrow::Cow;
use std::fmt::Debug;

use super::{StateDict, TensorReader};
use crate::error::Result;

/// Tensors by name, in memory or still in their file.
pub trait TensorSource: Debug + Send + Sync {
    /// The tensor called `name`, if there is one.
    ///
    /// # Errors
    /// When it cannot be read.
    fn open(&self, name: &str) -> Result<Option<TensorReader<'_>>>;

    /// All tensors.
    ///
    /// # Errors
    /// As [`TensorSource::open`].
    fn all(&self) -> Result<Cow<'_, StateDict>>;

    /// Reads what is of no use, so that damage there is noticed too.
    ///
    /// # Errors
    /// As [`TensorSource::open`].
    fn check_rest(&self) -> Result<()> {
        Ok(())
    }

    /// Passes where all that was read is what was there at first.
    ///
    /// # Errors
    /// When the file has changed meanwhile.
    fn require_unchanged(&self) -> Result<()> {
        Ok(())
    }
}

impl TensorSource for StateDict {
    fn open(&self, name: &str) -> Result<Option<TensorReader<'_>>> {
        Ok(self.get(name).map(TensorReader::of))
    }

    fn all(&self) -> Result<Cow<'_, StateDict>> {
        Ok(Cow::Borrowed(self))
    }
}
