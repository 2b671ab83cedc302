//! Writing a state dict in the safetensors format.

use std::io::{self, Write};

use safetensors::SafeTensorError;
use safetensors::tensor::{Dtype as StoredDtype, Metadata, TensorInfo};
use serde_json::{Map, Value};

use super::{Dtype, StateDict};

/// What the data is aligned to: that of the widest element.
const ALIGNMENT: usize = 8;

impl StateDict {
    /// Writes the tensors with `metadata` as the header's `__metadata__`: `safetensors.torch.load_file`
    /// reads them. The same tensors and metadata give the same bytes, which the crate's own
    /// `serialize` does not promise: it keeps metadata in a hash map.
    ///
    /// # Errors
    /// What the sink answers; invalid input when a tensor's bytes do not fit its shape.
    pub fn save_safetensors(
        &self,
        mut sink: impl Write,
        metadata: &[(&str, String)],
    ) -> io::Result<()> {
        let mut tensors: Vec<_> = self.iter().collect();
        // Wide elements first, so that each tensor is aligned to its own.
        tensors.sort_by_key(|(_, tensor)| std::cmp::Reverse(tensor.dtype.size_bytes()));
        let mut offset = 0;
        let infos = tensors.iter().map(|(name, tensor)| {
            let begin = offset;
            offset += tensor.bytes.len();
            let info = TensorInfo {
                dtype: stored_dtype(tensor.dtype),
                shape: tensor.shape.clone(),
                data_offsets: (begin, offset),
            };
            ((*name).to_owned(), info)
        });
        // Checks that each tensor is as long as its shape says.
        let layout = Metadata::new(None, infos.collect()).map_err(invalid)?;
        let Value::Object(layout) = serde_json::to_value(&layout)? else {
            return Err(io::Error::other("the header is no object"));
        };
        let metadata: Map<String, Value> = metadata
            .iter()
            .map(|(key, value)| ((*key).to_owned(), Value::String(value.clone())))
            .collect();
        let mut header = Map::new();
        header.insert("__metadata__".to_owned(), Value::Object(metadata));
        header.extend(layout);
        let mut header = serde_json::to_vec(&header)?;
        header.resize(header.len().next_multiple_of(ALIGNMENT), b' ');

        sink.write_all(&(header.len() as u64).to_le_bytes())?;
        sink.write_all(&header)?;
        tensors.iter().try_for_each(|(_, tensor)| sink.write_all(&tensor.bytes))
    }
}

fn invalid(error: SafeTensorError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, error)
}

fn stored_dtype(dtype: Dtype) -> StoredDtype {
    match dtype {
        Dtype::F64 => StoredDtype::F64,
        Dtype::F32 => StoredDtype::F32,
        Dtype::F16 => StoredDtype::F16,
        Dtype::Bf16 => StoredDtype::BF16,
        Dtype::I64 => StoredDtype::I64,
        Dtype::I32 => StoredDtype::I32,
        Dtype::I16 => StoredDtype::I16,
        Dtype::I8 => StoredDtype::I8,
        Dtype::U8 => StoredDtype::U8,
        Dtype::Bool => StoredDtype::BOOL,
    }
}

#[cfg(test)]
mod tests {
    use safetensors::SafeTensors;

    use super::super::TensorData;
    use super::*;

    fn every_dtype() -> StateDict {
        let tensor = |(i, dtype): (usize, Dtype)| {
            let bytes = (0..3 * dtype.size_bytes()).map(|at| (i + at) as u8 % 2).collect();
            (format!("t{i}"), TensorData { dtype, shape: vec![1, 3], bytes })
        };
        Dtype::ALL.into_iter().rev().enumerate().map(tensor).collect()
    }

    #[test]
    fn every_dtype_is_read_back_by_the_crate_bit_for_bit_and_aligned() {
        let state_dict = every_dtype();
        let mut file = Vec::new();
        let metadata = [("format", "pt".to_owned()), ("class_names", r#"["a \"b\""]"#.to_owned())];
        state_dict.save_safetensors(&mut file, &metadata).unwrap();
        let read = SafeTensors::deserialize(&file).unwrap();
        assert_eq!(read.len(), Dtype::ALL.len());
        for (name, tensor) in state_dict.iter() {
            let view = read.tensor(name).unwrap();
            assert_eq!(
                (view.shape(), view.data()),
                (&tensor.shape[..], &tensor.bytes[..]),
                "{name}"
            );
            assert_eq!(view.dtype(), stored_dtype(tensor.dtype), "{name}");
            let offset = view.data().as_ptr() as usize - file.as_ptr() as usize;
            assert_eq!(offset % tensor.dtype.size_bytes(), 0, "{name}");
        }
        let (_, header) = SafeTensors::read_metadata(&file).unwrap();
        let stored = header.metadata().as_ref().unwrap();
        assert_eq!(stored.len(), 2);
        for (key, value) in &metadata {
            assert_eq!(&stored[*key], value);
        }
    }

    #[test]
    fn a_tensor_whose_bytes_do_not_fit_its_shape_is_refused() {
        let tensor = TensorData { dtype: Dtype::F32, shape: vec![2], bytes: vec![0; 4] };
        let state_dict: StateDict = [("t".to_owned(), tensor)].into_iter().collect();
        let error = state_dict.save_safetensors(io::sink(), &[]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }
}
