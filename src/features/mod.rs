//! The backbone's features of every image.

mod activations;
pub mod collect;
pub mod extract;
pub mod file_index;
mod matrix;
pub mod prune;
pub mod recipe;
mod record;
pub mod store;

pub use activations::ActivationSplit;
pub use matrix::FeatureMatrix;
