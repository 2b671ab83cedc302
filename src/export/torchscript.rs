//! The network as a TorchScript archive.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use tch::{CModule, Device, Kind, TchError, Tensor};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use super::description::Description;
use crate::artifact::{METADATA_FILE, TrainedModel};
use crate::atomic_file;
use crate::config::CROP;
use crate::error::{Action, Error, Result};
use crate::model::backbone::LibtorchBackbone;
use crate::model::head::Head;

/// Name of the module's class.
const CLASS_NAME: &str = "ResNet50";

/// Replaces `path` with the module: `[N, 3, 224, 224]` f32, normalized, to logits `[N, classes]`, for
/// any N, in eval mode with batch norms folded and weights channels-last. `torch.jit.load` reads it;
/// its extra file `model.json` has class names and transform.
///
/// # Errors
/// [`Error::Io`] with the path; [`Error::Internal`] when libtorch fails.
pub(super) fn replace(model: &TrainedModel, path: &Path) -> Result<()> {
    let dir = path.parent().unwrap_or(Path::new("."));
    // Not a temporary name: the archive's root folder has the file's.
    let folder = atomic_file::temporary_dir_in(dir)?;
    let unfinished = folder.path().join(path.file_name().unwrap_or_default());
    write(model, &unfinished)?;
    fs::rename(&unfinished, path).map_err(Error::io(Action::Create, path))?;
    atomic_file::sync_dir(dir)
}

/// The same, into a file that nobody reads yet.
pub(super) fn write(model: &TrainedModel, path: &Path) -> Result<()> {
    let module = trace(model)?;
    module.save(path).map_err(io::Error::other).map_err(Error::io(Action::Write, path))?;
    let json = Description::of(&model.metadata).json()?;
    append(path, &json).map_err(Error::io(Action::Write, path))
}

fn trace(model: &TrainedModel) -> Result<CModule> {
    let backbone = LibtorchBackbone::new(&model.state_dict, 1)?;
    let head = Head::from_state_dict(&model.state_dict)?;
    let weight = Tensor::f_from_slice(&head.weight)?.f_view([head.num_classes() as i64, -1])?;
    let bias = Tensor::f_from_slice(&head.bias)?;
    let logits = |images: &Tensor| -> Result<Tensor, TchError> {
        backbone.features(images)?.f_linear(&weight, Some(&bias)) // [N, classes]
    };
    let side = i64::from(CROP);
    let image = Tensor::f_zeros([1, 3, side, side], (Kind::Float, Device::Cpu))?;
    let mut failure = None;
    // The trace must be ended, or every later one of this thread would fail.
    let mut compute = |inputs: &[Tensor]| match logits(&inputs[0]) {
        Ok(logits) => vec![logits],
        Err(error) => {
            failure = Some(error);
            Vec::new()
        }
    };
    let module =
        tch::no_grad(|| CModule::create_by_tracing(CLASS_NAME, "forward", &[image], &mut compute));
    match failure {
        Some(error) => Err(error.into()),
        None => Ok(module?),
    }
}

/// Adds model.json where `torch.jit.load(.., _extra_files)` looks, and puts all on disk.
fn append(path: &Path, json: &str) -> io::Result<()> {
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        .last_modified_time(DateTime::default());
    let root = path.file_stem().unwrap_or_default().to_string_lossy();
    let mut zip = ZipWriter::new_append(&file)?;
    zip.start_file(format!("{root}/extra/{METADATA_FILE}"), options)?;
    zip.write_all(json.as_bytes())?;
    zip.finish()?;
    file.sync_all()
}
