//! Named tensors, as PyTorch stores them.

mod assembly;
mod check;
mod checkpoint;
mod fault;
mod legacy_file;
mod load;
mod map;
mod pickle;
mod reader;
mod safetensors_file;
mod save;
mod save_safetensors;
mod shared_file;
mod source;
mod stored;
mod tensor;
mod zip_file;

pub use map::StateDict;
pub use reader::TensorReader;
pub use save::PthWriter;
pub use source::TensorSource;
pub use stored::StoredDict;
pub use tensor::{Dtype, TensorData, TensorSpec};
