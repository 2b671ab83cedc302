//! Tensors that stay in their file until they are asked for.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fs::{File, Metadata};
use std::path::{Path, PathBuf};

use super::assembly::is_whole;
use super::checkpoint::View;
use super::fault::{Fault, Result};
use super::shared_file::SharedFile;
use super::zip_file::Archive;
use super::{Dtype, StateDict, TensorReader, TensorSource, TensorSpec, checkpoint, pickle};

/// The tensors of a zip file, each of which is a block of its own. They are read piece by piece, and
/// the checksum of each is verified whenever it has been read.
#[derive(Debug)]
pub struct StoredDict {
    path: PathBuf,
    archive: Archive,
    tensors: HashMap<String, Stored>,
}

/// Where a tensor lies.
#[derive(Debug)]
struct Stored {
    /// Names the block.
    key: String,
    dtype: Dtype,
    shape: Vec<usize>,
    num_bytes: u64,
}

impl StoredDict {
    /// Opens the file at `path`, if it is one that `accept`s its metadata and has such tensors. What others
    /// hold, and what is wrong with them, [`StateDict::load`](super::StateDict::load) tells.
    pub fn open(path: &Path, accept: impl FnOnce(&Metadata) -> bool) -> Option<Self> {
        let file = File::open(path).ok()?;
        let metadata = file.metadata().ok().filter(|metadata| metadata.is_file())?;
        if !accept(&metadata) {
            return None;
        }
        let num_bytes = metadata.len();
        let mut archive = Archive::open(SharedFile::new(file, num_bytes), num_bytes).ok()?;
        let tensors = tensors(&archive.read_pickle().ok()?, num_bytes).ok()??;
        Some(StoredDict { path: path.to_path_buf(), archive, tensors })
    }

    /// Whether the tensors are those of `specs`, beside which there may be those called `extra`.
    pub fn has_exactly(&self, specs: &[TensorSpec], extra: &[&str]) -> bool {
        let is_spec = |spec: &TensorSpec| {
            let found = self.tensors.get(&spec.name);
            found.is_some_and(|it| it.dtype == spec.dtype && it.shape == spec.shape)
        };
        let num_extra = extra.iter().filter(|&&name| self.tensors.contains_key(name)).count();
        specs.iter().all(is_spec) && self.tensors.len() == specs.len() + num_extra
    }
}

impl TensorSource for StoredDict {
    fn open(&self, name: &str) -> crate::Result<Option<TensorReader<'_>>> {
        let Some(stored) = self.tensors.get(name) else { return Ok(None) };
        let Stored { key, dtype, shape, num_bytes } = stored;
        let at = |fault: Fault| fault.at(&self.path);
        let entry = self.archive.clone().open_block(key).map_err(at)?;
        if entry.num_left() != *num_bytes {
            let found = entry.num_left();
            return Err(at(Fault::Damaged(format!(
                "{name:?} needs {num_bytes} bytes of block {key:?}, which has {found}"
            ))));
        }
        Ok(Some(TensorReader::stored(&self.path, entry, *dtype, shape.clone())))
    }

    fn all(&self) -> crate::Result<Cow<'_, StateDict>> {
        let mut state_dict = StateDict::new();
        for name in self.tensors.keys() {
            if let Some(tensor) = self.open(name)? {
                state_dict.insert(name, tensor.read_all()?);
            }
        }
        Ok(Cow::Owned(state_dict))
    }
}

/// The tensors that `data` describes; `None` where one is not a block of its own.
fn tensors(data: &[u8], file_bytes: u64) -> Result<Option<HashMap<String, Stored>>> {
    let pickle = pickle::read(data)?;
    Ok(blocks(checkpoint::tensors(&pickle.heap, pickle.root)?, file_bytes))
}

fn blocks(views: Vec<(&str, View)>, file_bytes: u64) -> Option<HashMap<String, Stored>> {
    let num_views = views.len();
    let mut keys = HashSet::with_capacity(num_views);
    let mut tensors = HashMap::with_capacity(num_views);
    for (name, view) in views {
        let num_bytes = view.num_elements.saturating_mul(view.dtype.size_bytes());
        let is_block = view.start == 0 && is_whole(&view, num_bytes) && keys.insert(view.key);
        let num_bytes = num_bytes as u64;
        if !is_block || num_bytes > file_bytes {
            return None;
        }
        let (key, dtype, shape) = (view.key.to_owned(), view.dtype, view.shape);
        tensors.insert(name.to_owned(), Stored { key, dtype, shape, num_bytes });
    }
    (tensors.len() == num_views).then_some(tensors)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::model::state_dict::TensorData;

    fn saved(dir: &Path) -> (PathBuf, StateDict) {
        let path = dir.join("weights.pth");
        let mut state_dict = StateDict::new();
        // More than is read at once.
        let values: Vec<f32> = (0..50_000).map(|value| value as f32).collect();
        state_dict.insert("weight", TensorData::from_f32(&[5, 10_000], &values));
        state_dict.insert("steps", TensorData::scalar_i64(7));
        state_dict.save_pth(&mut File::create(&path).unwrap()).unwrap();
        (path, state_dict)
    }

    fn spec(name: &str, dtype: Dtype, shape: &[usize]) -> TensorSpec {
        TensorSpec { name: name.into(), shape: shape.to_vec(), dtype }
    }

    #[test]
    fn tensors_are_read_from_the_file_piece_by_piece() {
        let dir = tempfile::tempdir().unwrap();
        let (path, state_dict) = saved(dir.path());
        let stored = StoredDict::open(&path, |_| true).unwrap();
        let mut all = stored.all().unwrap().into_owned();
        for (name, tensor) in state_dict.iter() {
            assert_eq!(all.remove(name).as_ref(), Some(tensor));
        }
        assert!(all.is_empty());
        let expected = &state_dict.get("weight").unwrap().bytes;
        let mut reader = stored.open("weight").unwrap().unwrap();
        let mut bytes = vec![0; expected.len()];
        for piece in bytes.chunks_mut(70_001) {
            reader.read(piece).unwrap();
        }
        assert_eq!((&bytes, reader.num_left()), (expected, 0));
        assert!(stored.open("bias").unwrap().is_none());
        assert!(StoredDict::open(&path, |_| false).is_none());
    }

    #[test]
    fn other_tensors_than_are_wanted_are_told() {
        let dir = tempfile::tempdir().unwrap();
        let stored = StoredDict::open(&saved(dir.path()).0, |_| true).unwrap();
        let weight = spec("weight", Dtype::F32, &[5, 10_000]);
        let steps = spec("steps", Dtype::I64, &[]);
        assert!(stored.has_exactly(&[weight.clone(), steps.clone()], &["bias"]));
        assert!(stored.has_exactly(std::slice::from_ref(&weight), &["steps"]));
        assert!(!stored.has_exactly(std::slice::from_ref(&weight), &[]));
        let other_shape = spec("weight", Dtype::F32, &[10_000, 5]);
        assert!(!stored.has_exactly(&[other_shape, steps.clone()], &[]));
        let other_type = spec("weight", Dtype::I32, &[5, 10_000]);
        assert!(!stored.has_exactly(&[other_type, steps.clone()], &[]));
        assert!(!stored.has_exactly(&[weight, steps, spec("bias", Dtype::F32, &[5])], &[]));
    }

    #[test]
    fn damage_shows_when_the_tensor_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let (path, _) = saved(dir.path());
        let stored = StoredDict::open(&path, |_| true).unwrap();
        let mut bytes = fs::read(&path).unwrap();
        let end = bytes.len();
        bytes[end / 2] ^= 1;
        fs::write(&path, &bytes).unwrap();
        let error = stored.open("weight").unwrap().unwrap().read_all().unwrap_err().to_string();
        assert!(error.contains("weights.pth") && error.contains("Invalid checksum"), "{error}");
        stored.open("steps").unwrap().unwrap().read_all().unwrap();
        File::options().write(true).open(&path).unwrap().set_len(end as u64 / 2).unwrap();
        let error = stored.open("weight").unwrap().unwrap().read_all().unwrap_err().to_string();
        assert!(error.contains("the file ends too early"), "{error}");
        assert!(StoredDict::open(&path, |_| true).is_none());
    }

    #[test]
    fn views_into_a_larger_block_are_not_taken() {
        let view =
            |key: &'static str, start, shape: &[usize], strides: &[usize]| checkpoint::View {
                key,
                dtype: Dtype::F32,
                start,
                shape: shape.to_vec(),
                strides: strides.to_vec(),
                num_elements: shape.iter().product(),
                end: 0,
            };
        let whole = |shared| vec![("a", view("0", 0, &[2, 3], &[3, 1])), ("b", shared)];
        assert_eq!(blocks(whole(view("1", 0, &[4], &[1])), 100).unwrap().len(), 2);
        for other in [
            view("0", 0, &[4], &[1]),
            view("1", 1, &[4], &[1]),
            view("1", 0, &[2, 3], &[1, 2]),
            view("1", 0, &[26], &[1]),
        ] {
            assert!(blocks(whole(other), 100).is_none());
        }
    }
}
