//! The safetensors format.

use std::io::Read;

use safetensors::tensor::{Dtype as StoredDtype, Metadata};

use super::assembly::MAX_TENSOR_BYTES;
use super::checkpoint::check_name;
use super::fault::{Fault, Result};
use super::{Dtype, StateDict, TensorData};

/// Far above a real header (ResNet50: 34 kB), far below what would hurt.
const MAX_HEADER_BYTES: u64 = 16 << 20;

/// Whether a file of `file_bytes` bytes that starts with `magic` is in this format: a length, then
/// a JSON object.
pub(super) fn is_one(magic: &[u8], file_bytes: u64) -> bool {
    match magic.split_first_chunk() {
        Some((length, [b'{', ..])) => {
            let rest = file_bytes.checked_sub(8);
            rest.is_some_and(|rest| u64::from_le_bytes(*length) <= rest)
        }
        _ => false,
    }
}

/// Reads `file_bytes` bytes, positioned at their start. Tensors come in the order of their data.
pub(super) fn read(mut file: impl Read, file_bytes: u64) -> Result<StateDict> {
    let mut length = [0; 8];
    file.read_exact(&mut length)?;
    let header_bytes = u64::from_le_bytes(length);
    if header_bytes > MAX_HEADER_BYTES {
        return Err(Fault::damaged(format!("a header of {header_bytes} bytes")));
    }
    let mut header = Vec::new();
    file.by_ref().take(header_bytes).read_to_end(&mut header)?;
    // Deserializing checks that the tensors lie end to end and are as long as their shapes say.
    let metadata: Metadata = serde_json::from_slice(&header).map_err(|error| {
        // The reason may quote what it does not know at any length.
        let reason: String = error.to_string().chars().take(200).collect();
        Fault::Damaged(format!("header: {reason}"))
    })?;
    let data_bytes = metadata.data_len() as u64;
    if file_bytes - 8 - header_bytes != data_bytes {
        return Err(Fault::damaged(format!(
            "{} bytes of data where the header declares {data_bytes}",
            file_bytes - 8 - header_bytes
        )));
    }

    if data_bytes > MAX_TENSOR_BYTES {
        return Err(Fault::refused(format!("holds {data_bytes} bytes of tensors")));
    }
    let mut state_dict = StateDict::new();
    for name in metadata.offset_keys() {
        let Some(info) = metadata.info(&name) else { continue };
        check_name(&name)?;
        let dtype = dtype_of(&name, info.dtype)?;
        let mut bytes = vec![0; info.data_offsets.1 - info.data_offsets.0];
        file.read_exact(&mut bytes)?;
        state_dict.insert(name, TensorData { dtype, shape: info.shape.clone(), bytes });
    }
    if state_dict.is_empty() {
        return Err(Fault::refused("holds no tensors"));
    }
    Ok(state_dict)
}

fn dtype_of(name: &str, stored: StoredDtype) -> Result<Dtype> {
    Ok(match stored {
        StoredDtype::F64 => Dtype::F64,
        StoredDtype::F32 => Dtype::F32,
        StoredDtype::F16 => Dtype::F16,
        StoredDtype::BF16 => Dtype::Bf16,
        StoredDtype::I64 => Dtype::I64,
        StoredDtype::I32 => Dtype::I32,
        StoredDtype::I16 => Dtype::I16,
        StoredDtype::I8 => Dtype::I8,
        StoredDtype::U8 => Dtype::U8,
        StoredDtype::BOOL => Dtype::Bool,
        other => return Err(Fault::refused(format!("{name} has the unsupported type {other}"))),
    })
}
