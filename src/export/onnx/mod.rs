//! The network as an ONNX model.

mod model;
mod nodes;
pub mod proto;

pub use model::{INPUT, OUTPUT, model};
