//! Folders of classes to samples.

use std::path::PathBuf;

/// The three parts of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Split {
    /// The head is fitted on it.
    Train,
    /// Hyperparameters and the epoch are chosen on it.
    Valid,
    /// Evaluated once, after everything is chosen.
    Test,
}

impl Split {
    /// In the order of use.
    pub const ALL: [Split; 3] = [Split::Train, Split::Valid, Split::Test];

    /// Name of the split's folder.
    pub fn name(self) -> &'static str {
        match self {
            Split::Train => "train",
            Split::Valid => "valid",
            Split::Test => "test",
        }
    }
}

/// One image file of a split.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// The file.
    pub path: PathBuf,
    /// Its class, an index into the class names.
    pub target: usize,
}
