//! The backbone's features of every image.

mod activations;
pub mod collect;
pub mod extract;
pub mod file_index;
mod matrix;
mod number_file;
pub mod prune;
pub mod recipe;
mod record;
mod split;
pub mod store;

pub use activations::ActivationSplit;
pub use matrix::FeatureMatrix;
pub use number_file::NumberFile;
pub use split::{SplitFeatures, StoredFeatures, unreadable};
