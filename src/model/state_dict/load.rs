//! Reading a state dict from whichever format a file's content shows.

use std::fs::{self, File};
use std::io::{BufReader, Read, Seek};
use std::path::Path;

use super::fault::{Fault, Result};
use super::shared_file::SharedFile;
use super::{StateDict, legacy_file, safetensors_file, zip_file};
use crate::error::{Action, Error};

/// What `DataParallel` puts before every name.
const DATA_PARALLEL_PREFIX: &str = "module.";

impl StateDict {
    /// Reads the file at `path`: a `.pth` of either of PyTorch's formats, or a `.safetensors`.
    ///
    /// The content tells the format, not the name. A dict of tensors is taken as it is or out of a
    /// checkpoint's `state_dict`, `model_state_dict` or `model` entry; a `module.` before every
    /// name is dropped. Nothing in the file is executed: a pickle that asks for more than tensors
    /// is refused.
    ///
    /// # Errors
    /// Bad data when the file is damaged, holds something else, or would take more memory than its
    /// size explains; an I/O error when it cannot be read.
    pub fn load(path: &Path) -> crate::Result<StateDict> {
        // Opening a pipe would wait for its writer, so the kind is looked at first.
        let metadata = fs::metadata(path).map_err(Error::io(Action::Read, path))?;
        if !metadata.is_file() {
            return Err(Error::bad_data(
                path,
                "is not a file",
                "Put a PyTorch state dict in its place.",
            ));
        }
        let file = File::open(path).map_err(Error::io(Action::Read, path))?;
        read(SharedFile::new(file, metadata.len()), metadata.len())
            .map(without_data_parallel_prefix)
            .map_err(|fault| fault.at(path))
    }
}

/// Reads `file_bytes` bytes, positioned at their start.
fn read(mut file: SharedFile, file_bytes: u64) -> Result<StateDict> {
    let mut magic = Vec::with_capacity(16);
    file.by_ref().take(16).read_to_end(&mut magic)?;
    file.rewind()?;
    // safetensors comes first: its leading length may look like a pickle's first byte.
    if safetensors_file::is_one(&magic, file_bytes) {
        safetensors_file::read(BufReader::new(file), file_bytes)
    } else if magic.starts_with(b"PK\x03\x04") {
        zip_file::read(file, file_bytes)
    } else if magic.starts_with(&[super::pickle::PROTO]) {
        legacy_file::read(BufReader::new(file), file_bytes)
    } else if magic.is_empty() {
        Err(Fault::damaged("the file is empty"))
    } else {
        Err(Fault::refused(format!(
            "neither a PyTorch file nor safetensors: it starts with \"{}\"",
            magic.escape_ascii()
        )))
    }
}

fn without_data_parallel_prefix(state_dict: StateDict) -> StateDict {
    if !state_dict.iter().all(|(name, _)| name.starts_with(DATA_PARALLEL_PREFIX)) {
        return state_dict;
    }
    state_dict
        .into_iter()
        .map(|(name, tensor)| (name[DATA_PARALLEL_PREFIX.len()..].to_owned(), tensor))
        .collect()
}
