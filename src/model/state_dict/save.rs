//! Writing a state dict in `torch.save`'s zip format.

use std::io::{self, Seek, Write};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use super::{Dtype, StateDict, TensorData, TensorSpec};

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
        let specs = self.iter().map(|(name, TensorData { dtype, shape, .. })| TensorSpec {
            name: name.to_owned(),
            shape: shape.clone(),
            dtype: *dtype,
        });
        let mut writer = PthWriter::begin(sink, specs.collect())?;
        self.iter().try_for_each(|(name, tensor)| writer.put(name, tensor))?;
        writer.finish()
    }
}

/// A file as [`StateDict::save_pth`] writes it, tensor by tensor.
#[derive(Debug)]
pub struct PthWriter<W: Write + Seek> {
    zip: ZipWriter<W>,
    specs: Vec<TensorSpec>,
    /// Tensors that were written.
    num_written: usize,
}

impl<W: Write + Seek> PthWriter<W> {
    /// Writes what comes before the tensors, which will be those of `specs` in their order.
    ///
    /// # Errors
    /// What the sink answers, which must be at its start.
    pub fn begin(sink: W, specs: Vec<TensorSpec>) -> io::Result<Self> {
        let mut zip = ZipWriter::new(sink);
        put(&mut zip, "data.pkl", &pickle(&specs)?)?;
        put(&mut zip, ".format_version", b"1")?;
        put(&mut zip, ".storage_alignment", ALIGNMENT.to_string().as_bytes())?;
        put(&mut zip, "byteorder", b"little")?;
        Ok(PthWriter { zip, specs, num_written: 0 })
    }

    /// Writes the next tensor. Of what the sink held before only the last tensor's block is touched again.
    ///
    /// # Errors
    /// What the sink answers; invalid input when it is not the next of the specs, or its bytes do not
    /// fit its shape.
    pub fn put(&mut self, name: &str, tensor: &TensorData) -> io::Result<()> {
        let TensorData { dtype, shape, bytes } = tensor;
        self.start(name, *dtype, shape, bytes.len())?;
        self.write(bytes)
    }

    /// Starts the next tensor, whose `length` bytes are then given to [`PthWriter::write`].
    ///
    /// # Errors
    /// As [`PthWriter::put`].
    pub fn start(
        &mut self,
        name: &str,
        dtype: Dtype,
        shape: &[usize],
        length: usize,
    ) -> io::Result<()> {
        let Some(spec) = self.specs.get(self.num_written) else {
            return Err(invalid(format!("{name} is one tensor too many")));
        };
        if spec.name != name || spec.dtype != dtype || spec.shape != shape {
            let (found, expected) = (dtype.name(), spec.dtype.name());
            return Err(invalid(format!(
                "{name}, {found} {shape:?}, where {}, {expected} {:?}, was announced",
                spec.name, spec.shape
            )));
        }
        if num_bytes(spec)? != length {
            let dtype = dtype.name();
            return Err(invalid(format!("{name}: {length} bytes for {dtype} {shape:?}")));
        }
        start(&mut self.zip, &format!("data/{}", self.num_written), length)?;
        self.num_written += 1;
        Ok(())
    }

    /// Writes the next bytes of the tensor that was started.
    ///
    /// # Errors
    /// What the sink answers.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.zip.write_all(bytes)
    }

    /// Where it writes to, but for what the end of a tensor's block still changes.
    pub fn sink(&self) -> Option<&W> {
        self.zip.get_ref()
    }

    /// Ends the file.
    ///
    /// # Errors
    /// What the sink answers; invalid input when tensors are missing.
    pub fn finish(mut self) -> io::Result<()> {
        if let Some(missing) = self.specs.get(self.num_written) {
            return Err(invalid(format!("{} was announced and not written", missing.name)));
        }
        put(&mut self.zip, "version", b"3\n")?;
        self.zip.finish()?.flush()
    }
}

fn put(zip: &mut ZipWriter<impl Write + Seek>, name: &str, content: &[u8]) -> io::Result<()> {
    start(zip, name, content.len())?;
    zip.write_all(content)
}

fn start(zip: &mut ZipWriter<impl Write + Seek>, name: &str, length: usize) -> io::Result<()> {
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        .last_modified_time(DateTime::default())
        .large_file(u32::try_from(length).is_err())
        .with_alignment(ALIGNMENT);
    Ok(zip.start_file(format!("archive/{name}"), options)?)
}

/// An `OrderedDict` of `_rebuild_tensor_v2` calls, protocol 2, the tensor at place N in block N.
fn pickle(specs: &[TensorSpec]) -> io::Result<Vec<u8>> {
    let mut out = b"\x80\x02ccollections\nOrderedDict\n)R(".to_vec();
    for (key, spec) in specs.iter().enumerate() {
        put_text(&mut out, &spec.name)?;
        out.extend_from_slice(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        put_text(&mut out, "storage")?;
        out.extend_from_slice(b"ctorch\n");
        out.extend_from_slice(storage_class(spec.dtype).as_bytes());
        out.push(b'\n');
        put_text(&mut out, &key.to_string())?;
        put_text(&mut out, "cpu")?;
        put_natural(&mut out, num_bytes(spec)? / spec.dtype.size_bytes())?;
        // End of the storage; offset 0.
        out.extend_from_slice(b"tQK\x00");
        put_tuple(&mut out, &spec.shape)?;
        put_tuple(&mut out, &contiguous_strides(&spec.shape))?;
        // No gradient, no hooks.
        out.extend_from_slice(b"\x89ccollections\nOrderedDict\n)RtR");
    }
    out.extend_from_slice(b"u.");
    Ok(out)
}

fn num_bytes(spec: &TensorSpec) -> io::Result<usize> {
    let elements = spec.shape.iter().try_fold(1usize, |n, &size| n.checked_mul(size));
    elements
        .and_then(|elements| elements.checked_mul(spec.dtype.size_bytes()))
        .ok_or_else(|| invalid(format!("{}: {:?} is more than memory", spec.name, spec.shape)))
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
