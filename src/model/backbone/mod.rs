//! The frozen backbone: normalized pixels to pooled features.

mod layout;
mod libtorch;
mod onednn;

pub use libtorch::Backbone;
pub use onednn::{OnednnBackbone, Precision, Unsupported, check_support, is_supported};
