//! The saved model in the formats of other programs.

mod description;
mod format;
pub mod onnx;
mod sagemaker;
pub mod torchscript;
mod write;

pub use format::Format;
pub use write::{Exported, export};
