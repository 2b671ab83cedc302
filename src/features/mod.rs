//! The backbone's features of every image.

mod activations;
pub mod collect;
pub mod extract;
pub mod file_index;
mod float_file;
mod matrix;
pub mod prune;
pub mod recipe;
mod record;
mod split;
pub mod store;

pub use activations::ActivationSplit;
pub use float_file::FloatFile;
pub use matrix::FeatureMatrix;
pub use split::{SplitFeatures, StoredFeatures, unreadable};
