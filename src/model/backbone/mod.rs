//! The frozen backbone: normalized pixels to pooled features.

mod dispatch;
mod engine;
#[cfg(feature = "torch")]
mod layout;
#[cfg(feature = "torch")]
mod libtorch;
#[cfg(feature = "torch")]
mod onednn;
mod simd;
#[cfg(feature = "torch")]
mod threads;

pub use dispatch::{Backbone, Worker};
pub use engine::Engine;
#[cfg(feature = "torch")]
pub(super) use layout::channels_last;
#[cfg(feature = "torch")]
pub use libtorch::LibtorchBackbone;
#[cfg(feature = "torch")]
pub use onednn::{OnednnBackbone, Precision, Unsupported, check_support, is_supported};
pub use simd::{Scratch, SimdBackbone};
