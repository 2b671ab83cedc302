//! Named tensors, as PyTorch stores them.

mod assembly;
mod check;
mod checkpoint;
mod fault;
mod legacy_file;
mod load;
mod map;
mod pickle;
mod safetensors_file;
mod save;
mod save_safetensors;
mod shared_file;
mod tensor;
mod zip_file;

pub use map::StateDict;
pub use save::PthWriter;
pub use tensor::{Dtype, TensorData, TensorSpec};
