//! One fault of a data set.

use std::path::PathBuf;

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use super::finding_kind::FindingKind;

/// What was found at which place.
///
/// As JSON: `{"kind": "corrupt", "severity": "error", "paths": [...], "reason": ..., "remedy": ...}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The kind of fault.
    pub kind: FindingKind,
    /// The file or folder at fault; all files of a group of duplicates.
    pub paths: Vec<PathBuf>,
    /// As in "the file is empty".
    pub reason: String,
}

impl Finding {
    pub(super) fn new(
        kind: FindingKind,
        path: impl Into<PathBuf>,
        reason: impl Into<String>,
    ) -> Self {
        Finding { kind, paths: vec![path.into()], reason: reason.into() }
    }
}

impl Serialize for Finding {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let paths: Vec<_> = self.paths.iter().map(|path| path.to_string_lossy()).collect();
        let mut fields = serializer.serialize_struct("Finding", 5)?;
        fields.serialize_field("kind", &self.kind)?;
        fields.serialize_field("severity", &self.kind.severity())?;
        fields.serialize_field("paths", &paths)?;
        fields.serialize_field("reason", &self.reason)?;
        fields.serialize_field("remedy", self.kind.remedy())?;
        fields.end()
    }
}
