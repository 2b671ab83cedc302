//! A remark about one file of a data set.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A file or folder, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileNote {
    /// The file or folder.
    pub path: PathBuf,
    /// As in "the extension is not that of an image".
    pub reason: String,
}
