//! Reading and writing state dicts, against files that PyTorch wrote.

#![allow(clippy::unwrap_used)]

mod damaged;
mod golden;
mod hostile;
mod round_trip;

use std::fs;
use std::path::{Path, PathBuf};

use ec2train::model::state_dict::{Dtype, StateDict, TensorData};

const GOLDEN_DIR: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/state_dict");

/// Every golden file with the state dict that PyTorch reads from it.
fn golden_files() -> Vec<(PathBuf, StateDict)> {
    let dir = Path::new(GOLDEN_DIR);
    let expected = fs::read_to_string(dir.join("expected.json")).unwrap();
    let expected: serde_json::Value = serde_json::from_str(&expected).unwrap();
    let files: Vec<_> = expected
        .as_object()
        .unwrap()
        .iter()
        .map(|(file, tensors)| {
            let tensors = tensors.as_array().unwrap().iter().map(expected_tensor);
            (dir.join(file), tensors.collect())
        })
        .collect();
    assert!(files.len() >= 18, "golden files are missing");
    files
}

fn golden(file: &str) -> Vec<u8> {
    fs::read(Path::new(GOLDEN_DIR).join(file)).unwrap()
}

fn expected_tensor(tensor: &serde_json::Value) -> (String, TensorData) {
    let text = |key: &str| tensor[key].as_str().unwrap();
    let dtype = Dtype::ALL.into_iter().find(|dtype| dtype.name() == text("dtype")).unwrap();
    let shape = tensor["shape"].as_array().unwrap();
    let shape = shape.iter().map(|size| size.as_u64().unwrap() as usize).collect();
    let bytes = text("hex").as_bytes().chunks(2).map(|pair| {
        let digits = std::str::from_utf8(pair).unwrap();
        u8::from_str_radix(digits, 16).unwrap()
    });
    (text("name").to_owned(), TensorData { dtype, shape, bytes: bytes.collect() })
}

/// Loads `content` from a file.
fn load(content: &[u8]) -> ec2train::Result<StateDict> {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), content).unwrap();
    StateDict::load(file.path())
}

/// What `state_dict` is written as.
fn saved(state_dict: &StateDict) -> Vec<u8> {
    let mut sink = std::io::Cursor::new(Vec::new());
    state_dict.save_pth(&mut sink).unwrap();
    sink.into_inner()
}
