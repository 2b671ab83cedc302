//! The frozen backbone: normalized pixels to pooled features.

mod dispatch;
mod engine;
#[cfg(feature = "torch")]
mod layout;
#[cfg(feature = "torch")]
mod libtorch;
mod libtorch_engines;
#[cfg(feature = "torch")]
mod onednn;
mod precision;
mod shared;
mod simd;
#[cfg(feature = "torch")]
mod threads;

pub use dispatch::{Backbone, Worker};
pub use engine::Engine;
#[cfg(feature = "torch")]
pub(super) use layout::channels_last;
#[cfg(feature = "torch")]
pub use libtorch::LibtorchBackbone;
pub use libtorch_engines::{LIBTORCH_ENGINES, LibtorchEngines};
#[cfg(feature = "torch")]
pub use onednn::{OnednnBackbone, Unsupported, check_support, is_supported};
pub use precision::Precision;
pub use shared::SharedNetwork;
pub use simd::{Network, Scratch, SimdBackbone};
