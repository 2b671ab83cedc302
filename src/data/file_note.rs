//! A remark about one file of a data set.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize, Serializer};

/// A file or folder, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileNote {
    /// The file or folder.
    #[serde(serialize_with = "path_as_text")]
    pub path: PathBuf,
    /// As in "the extension is not that of an image".
    pub reason: String,
}

/// Writes a path as text; what is not UTF-8 in it is replaced, where serde alone would fail.
///
/// # Errors
/// Those of `serializer`.
pub fn path_as_text<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn a_name_that_is_not_utf_8_can_be_written() {
        let path = PathBuf::from(OsStr::from_bytes(b"caf\xe9.jpg"));
        let text = serde_json::to_string(&FileNote { path, reason: "empty".into() }).unwrap();
        assert_eq!(text, "{\"path\":\"caf\u{fffd}.jpg\",\"reason\":\"empty\"}");
    }
}
