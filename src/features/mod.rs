//! The backbone's features of every image.

pub mod extract;
mod matrix;

pub use matrix::FeatureMatrix;
