//! Writing a model in the formats that are asked for.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use prost::Message;

use super::description::Description;
use super::format::Format;
use super::{onnx, sagemaker, torchscript};
use crate::artifact::TrainedModel;
use crate::atomic_file;
use crate::disk_space;
use crate::error::{Action, Error, Result};
use crate::run::lock::RunLock;
use crate::run::signals;

/// Names, graph and alignment beside the tensors, generously.
const OVERHEAD_BYTES: u64 = 1 << 20;

/// A file that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    /// What it is.
    pub format: Format,
    /// Where it is.
    pub path: PathBuf,
    /// Its length.
    pub num_bytes: u64,
}

/// Writes `model` into the folder `dir`, which is created, one file per format. Each is replaced as a
/// whole, so a reader finds the old one or the new one; the same model gives the same bytes.
///
/// # Errors
/// [`Error::Io`] with the path; [`Error::Busy`] when another export writes there;
/// [`Error::Stopped`]; [`Error::NotLinked`]. The files written before it are whole.
pub fn export(model: &TrainedModel, formats: &[Format], dir: &Path) -> Result<Vec<Exported>> {
    atomic_file::create_dir(dir)?;
    let _lock = lock(dir)?;
    atomic_file::remove_leftovers(dir)?;
    formats
        .iter()
        .map(|&format| {
            signals::check()?;
            let path = dir.join(format.file_name());
            let needed_bytes = needed_bytes(model, format);
            disk_space::require(dir, needed_bytes)?;
            write(model, format, &path)
                .map_err(|error| disk_space::explain(error, needed_bytes))?;
            let num_bytes = fs::metadata(&path).map_err(Error::io(Action::Read, &path))?.len();
            Ok(Exported { format, path, num_bytes })
        })
        .collect()
}

fn write(model: &TrainedModel, format: Format, path: &Path) -> Result<()> {
    let TrainedModel { metadata, state_dict } = model;
    match format {
        Format::Safetensors => {
            let mut description = Description::of(metadata).pairs()?;
            // What readers of Hugging Face's libraries ask for.
            description.insert(0, ("format", "pt".to_owned()));
            atomic_file::replace(path, |file| state_dict.save_safetensors(file, &description))
        }
        Format::Onnx => {
            let bytes = onnx::model(state_dict, metadata)?.encode_to_vec();
            atomic_file::replace(path, |file| file.write_all(&bytes))
        }
        Format::TorchScript => torchscript::replace(model, path),
        Format::SageMaker => sagemaker::replace(model, path),
    }
}

/// What a file takes on disk at most, with what it is made from.
fn needed_bytes(model: &TrainedModel, format: Format) -> u64 {
    let tensor_bytes: usize = model.state_dict.iter().map(|(_, tensor)| tensor.bytes.len()).sum();
    let num_copies = if format == Format::SageMaker { 2 } else { 1 };
    num_copies * (tensor_bytes as u64 + OVERHEAD_BYTES)
}

fn lock(dir: &Path) -> Result<RunLock> {
    RunLock::acquire(dir).map_err(|error| match error {
        Error::Busy { path, .. } => {
            let reason = "another export writes there: wait for it and start again".to_owned();
            Error::Busy { path, reason }
        }
        error => error,
    })
}
