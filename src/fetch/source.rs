//! A file that can be downloaded.

use std::path::{Path, PathBuf};

use crate::error::Error;

/// One remote file, and the place it is for.
#[derive(Debug, Clone)]
pub struct Source {
    /// Its address, `https://` or `http://`. From `https://` no redirect leads to plain HTTP.
    pub url: String,
    /// Where the whole file goes.
    pub target: PathBuf,
    /// SHA-256 as 64 lowercase hex digits; `None` where none is published, so that only the length
    /// and the file's own checksums can be checked.
    pub sha256: Option<String>,
    /// Whether the file is an archive that will need about its own size again to be unpacked. Only
    /// the check for free space uses it.
    pub is_archive: bool,
}

impl Source {
    /// A file that is used as it arrives.
    pub fn new(url: impl Into<String>, target: impl AsRef<Path>) -> Source {
        Source {
            url: url.into(),
            target: target.as_ref().to_path_buf(),
            sha256: None,
            is_archive: false,
        }
    }

    /// The same source with a digest to check.
    pub fn with_sha256(mut self, sha256: impl Into<String>) -> Source {
        self.sha256 = Some(sha256.into());
        self
    }

    /// The same source, to be unpacked after it arrived.
    pub fn archive(mut self) -> Source {
        self.is_archive = true;
        self
    }

    /// The file's name, for messages.
    pub fn label(&self) -> String {
        self.target.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// A download error that ends with the way around the network.
    pub(super) fn error(&self, reason: impl Into<String>, remedy: &str) -> Error {
        Error::Download {
            url: self.url.clone(),
            reason: reason.into(),
            remedy: format!(
                "{remedy}\n  Or bring the file by other means and put it at {}: it is used from there.",
                self.target.display()
            ),
        }
    }
}
