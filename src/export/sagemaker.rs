//! The archive that a SageMaker endpoint with PyTorch's own container starts from.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use tar::{Builder, Header};

use super::description::Description;
use super::torchscript;
use crate::artifact::{METADATA_FILE, TrainedModel};
use crate::atomic_file;
use crate::error::Result;

/// The name that the container looks for: `DEFAULT_MODEL_FILENAME` in
/// `default_pytorch_inference_handler.py` of sagemaker-pytorch-inference 2.0.25.
const MODEL_FILE: &str = "model.pt";

/// Where the container looks for the user's script, which may replace any of its four functions.
const SCRIPT_FILE: &str = "code/inference.py";
/// Replaces `input_fn`, which by itself takes arrays and no photographs.
const SCRIPT: &str = include_str!("inference.py");

/// Replaces `path` with a `.tar.gz` that holds [`MODEL_FILE`], which the container loads with
/// `torch.jit.load`, [`SCRIPT_FILE`], and model.json, which that reads.
///
/// # Errors
/// As [`torchscript::replace`].
pub(super) fn replace(model: &TrainedModel, path: &Path) -> Result<()> {
    let folder = atomic_file::temporary_dir_in(path.parent().unwrap_or(Path::new(".")))?;
    let script = folder.path().join(MODEL_FILE);
    torchscript::write(model, &script)?;
    let json = Description::of(&model.metadata).json()?;
    // Not the time of the export: the same model gives the same bytes.
    let modified = u64::try_from(model.metadata.created.as_second()).unwrap_or_default();
    atomic_file::replace(path, |file| {
        // Trained weights hardly shrink at any level.
        let mut archive = Builder::new(GzEncoder::new(file, Compression::fast()));
        let script = File::open(&script)?;
        let num_bytes = script.metadata()?.len();
        append(&mut archive, MODEL_FILE, num_bytes, modified, script)?;
        for (name, text) in [(METADATA_FILE, json.as_str()), (SCRIPT_FILE, SCRIPT)] {
            append(&mut archive, name, text.len() as u64, modified, text.as_bytes())?;
        }
        archive.into_inner()?.finish().map(drop)
    })
}

fn append(
    archive: &mut Builder<impl Write>,
    name: &str,
    num_bytes: u64,
    modified: u64,
    content: impl io::Read,
) -> io::Result<()> {
    let mut header = Header::new_ustar();
    header.set_size(num_bytes);
    header.set_mode(0o644);
    header.set_mtime(modified);
    header.set_uid(0);
    header.set_gid(0);
    archive.append_data(&mut header, name, content)
}
