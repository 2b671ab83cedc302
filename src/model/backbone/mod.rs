//! The frozen backbone: normalized pixels to pooled features.

#[cfg(feature = "torch")]
mod libtorch;
pub mod simd;

#[cfg(feature = "torch")]
pub use libtorch::Backbone;
