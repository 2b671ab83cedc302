//! The built-in sample: drawn pictures, and a backbone that was constructed, never trained.

mod backbone;
mod classes;
mod images;
mod manifest;
mod picture;
mod prepare;
mod texture;
mod weights;

pub use backbone::build_backbone;
pub use classes::{CLASSES, Class};
pub use images::{DrawSummary, SPLITS, draw};
pub use prepare::ensure;
