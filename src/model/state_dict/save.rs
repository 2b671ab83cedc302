//! Writing a state dict in `torch.save`'s zip format.

use std::io::{self, Seek, Write};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use super::{Dtype, StateDict, TensorData};

/// What PyTorch aligns blocks to, so that `torch.load(.., mmap=True)` can use them in place.
const ALIGNMENT: u16 = 64;

impl StateDict {
    /// Writes the tensors as `torch.save(state_dict, path)` does: `torch.load` takes the file with
    /// `weights_only=True` and with `mmap=True`. The same tensors give the same bytes.
    ///
    /// The sink must be at its start, since blocks are aligned from there.
    ///
    /// # Errors
    /// What the sink answers; invalid input when a tensor's bytes do not fit its shape.
    pub fn save_pth(&self, sink: impl Write + Seek) -> io::Result<()> {
        let mut zip = ZipWriter::new(sink);
        put(&mut zip, "data.pkl", &pickle(self)?)?;
        put(&mut zip, ".format_version", b"1")?;
        put(&mut zip, ".storage_alignment", ALIGNMENT.to_string().as_bytes())?;
        put(&mut zip, "byteorder", b"little")?;
        for (key, (_, tensor)) in self.iter().enumerate() {
            put(&mut zip, &format!("data/{key}"), &tensor.bytes)?;
        }
        put(&mut zip, "version", b"3\n")?;
        zip.finish()?.flush()
    }
}

fn put(zip: &mut ZipWriter<impl Write + Seek>, name: &str, content: &[u8]) -> io::Result<()> {
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        .last_modified_time(DateTime::default())
        .large_file(u32::try_from(content.len()).is_err())
        .with_alignment(ALIGNMENT);
    zip.start_file(format!("archive/{name}"), options)?;
    zip.write_all(content)
}

/// An `OrderedDict` of `_rebuild_tensor_v2` calls, protocol 2, the tensor at place N in block N.
fn pickle(state_dict: &StateDict) -> io::Result<Vec<u8>> {
    let mut out = b"\x80\x02ccollections\nOrderedDict\n)R(".to_vec();
    for (key, (name, tensor)) in state_dict.iter().enumerate() {
        let num_elements = checked_num_elements(name, tensor)?;
        put_text(&mut out, name)?;
        out.extend_from_slice(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        put_text(&mut out, "storage")?;
        out.extend_from_slice(b"ctorch\n");
        out.extend_from_slice(storage_class(tensor.dtype).as_bytes());
        out.push(b'\n');
        put_text(&mut out, &key.to_string())?;
        put_text(&mut out, "cpu")?;
        put_natural(&mut out, num_elements)?;
        // End of the storage; offset 0.
        out.extend_from_slice(b"tQK\x00");
        put_tuple(&mut out, &tensor.shape)?;
        put_tuple(&mut out, &contiguous_strides(&tensor.shape))?;
        // No gradient, no hooks.
        out.extend_from_slice(b"\x89ccollections\nOrderedDict\n)RtR");
    }
    out.extend_from_slice(b"u.");
    Ok(out)
}

fn checked_num_elements(name: &str, tensor: &TensorData) -> io::Result<usize> {
    let num_elements = tensor.shape.iter().try_fold(1usize, |n, &size| n.checked_mul(size));
    num_elements
        .filter(|n| n.checked_mul(tensor.dtype.size_bytes()) == Some(tensor.bytes.len()))
        .ok_or_else(|| {
            let length = tensor.bytes.len();
            invalid(format!(
                "{name}: {length} bytes for {} {:?}",
                tensor.dtype.name(),
                tensor.shape
            ))
        })
}

fn contiguous_strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for dim in (1..shape.len()).rev() {
        // PyTorch counts an empty dimension as one element here.
        strides[dim - 1] = strides[dim] * shape[dim].max(1);
    }
    strides
}

fn storage_class(dtype: Dtype) -> &'static str {
    match dtype {
        Dtype::F64 => "DoubleStorage",
        Dtype::F32 => "FloatStorage",
        Dtype::F16 => "HalfStorage",
        Dtype::Bf16 => "BFloat16Storage",
        Dtype::I64 => "LongStorage",
        Dtype::I32 => "IntStorage",
        Dtype::I16 => "ShortStorage",
        Dtype::I8 => "CharStorage",
        Dtype::U8 => "ByteStorage",
        Dtype::Bool => "BoolStorage",
    }
}

/// BINUNICODE
fn put_text(out: &mut Vec<u8>, text: &str) -> io::Result<()> {
    let length = u32::try_from(text.len()).map_err(|_| invalid("a name of over 4 GiB"))?;
    out.push(b'X');
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(text.as_bytes());
    Ok(())
}

/// BININT1, BININT2, BININT or LONG1, whichever is the shortest.
fn put_natural(out: &mut Vec<u8>, value: usize) -> io::Result<()> {
    let value = i64::try_from(value).map_err(|_| invalid("a size of over 2^63"))?;
    if let Ok(value) = u8::try_from(value) {
        out.extend_from_slice(&[b'K', value]);
    } else if let Ok(value) = u16::try_from(value) {
        out.push(b'M');
        out.extend_from_slice(&value.to_le_bytes());
    } else if let Ok(value) = i32::try_from(value) {
        out.push(b'J');
        out.extend_from_slice(&value.to_le_bytes());
    } else {
        out.extend_from_slice(&[0x8a, 8]);
        out.extend_from_slice(&value.to_le_bytes());
    }
    Ok(())
}

fn put_tuple(out: &mut Vec<u8>, values: &[usize]) -> io::Result<()> {
    if values.is_empty() {
        out.push(b')');
        return Ok(());
    }
    out.push(b'(');
    for &value in values {
        put_natural(out, value)?;
    }
    out.push(b't');
    Ok(())
}

fn invalid(reason: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, reason.into())
}
