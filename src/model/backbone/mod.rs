//! The frozen backbone: normalized pixels to pooled features.

mod libtorch;

pub use libtorch::Backbone;
