//! The built-in sample: drawn pictures, and a backbone that was constructed, never trained.

pub mod classes;
pub mod images;
pub mod picture;
mod texture;

pub use images::{DrawSummary, draw};
