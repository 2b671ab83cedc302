//! The network as a TorchScript archive.

#[cfg(feature = "torch")]
mod trace;

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::OnceLock;

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use super::description::Description;
use crate::artifact::{METADATA_FILE, TrainedModel};
use crate::atomic_file;
use crate::error::{Action, Error, Result};

#[cfg(feature = "torch")]
pub use trace::save_module;

/// Writes the module of a model into a file.
pub type SaveModule = fn(&TrainedModel, &Path) -> Result<()>;

/// Set once by a program that is linked with libtorch.
pub static SAVE_MODULE: OnceLock<SaveModule> = OnceLock::new();

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
    let save_module = SAVE_MODULE.get().ok_or_else(|| Error::NotLinked {
        what: format!("{} cannot be written", path.display()),
    })?;
    save_module(model, path)?;
    let json = Description::of(&model.metadata).json()?;
    append(path, &json).map_err(Error::io(Action::Write, path))
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
