//! The saved model in the formats of other programs.

mod description;
mod format;
pub mod onnx;
#[cfg(feature = "torch")]
mod sagemaker;
#[cfg(feature = "torch")]
mod torchscript;
mod write;

pub use format::Format;
pub use write::{Exported, export};
