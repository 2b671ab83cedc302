//! Why a file yields no state dict, said before the file's name is known.

use std::io;
use std::path::Path;

use zip::result::ZipError;

use crate::error::{Action, Error};

pub(super) type Result<T> = std::result::Result<T, Fault>;

/// Why a file yields no state dict.
#[derive(Debug)]
pub(super) enum Fault {
    /// The bytes contradict their own format.
    Damaged(String),
    /// The format is sound but holds something else than tensors by name.
    Refused(String),
    /// The operating system failed.
    Io(io::Error),
}

impl Fault {
    pub(super) fn damaged(reason: impl Into<String>) -> Self {
        Fault::Damaged(reason.into())
    }

    pub(super) fn refused(reason: impl Into<String>) -> Self {
        Fault::Refused(reason.into())
    }

    /// The library's error for the file at `path`.
    pub(super) fn at(self, path: &Path) -> Error {
        match self {
            Fault::Damaged(reason) => Error::bad_data(
                path,
                format!("damaged or incomplete: {reason}"),
                "Delete the file, then download or copy it again.",
            ),
            Fault::Refused(reason) => Error::bad_data(
                path,
                reason,
                "Expected tensors alone, as torch.save(model.state_dict(), path) or safetensors \
                 writes them.",
            ),
            Fault::Io(source) => Error::io(Action::Read, path)(source),
        }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Fault::damaged("the file ends too early"),
            // The zip crate's word for a checksum that does not match; a seek to where no file goes.
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => {
                Fault::Damaged(error.to_string())
            }
            _ => Fault::Io(error),
        }
    }
}

impl From<ZipError> for Fault {
    fn from(error: ZipError) -> Self {
        match error {
            ZipError::Io(error) => error.into(),
            other => Fault::Damaged(other.to_string()),
        }
    }
}
