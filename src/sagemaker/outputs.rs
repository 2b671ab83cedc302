//! From a training's folder to the folders that SageMaker takes up.

use std::fs;
use std::io;
use std::path::Path;

use crate::artifact::{METADATA_FILE, MODEL_FILE};
use crate::atomic_file;
use crate::error::{Action, Error, Result};

/// What a server needs, in the order of writing: model.json says which model.pth it belongs to.
const MODEL_FILES: [&str; 2] = [MODEL_FILE, METADATA_FILE];

/// Moves the model that lies in `run_dir` into `model_dir`.
///
/// # Errors
/// [`Error::Io`] with the path.
pub(super) fn move_model(run_dir: &Path, model_dir: &Path) -> Result<()> {
    MODEL_FILES.iter().try_for_each(|name| move_file(&run_dir.join(name), &model_dir.join(name)))
}

/// Moves everything else that lies in `run_dir` into `output_data_dir`: report and metrics. A file
/// that cannot be moved is logged, the model is what the job is for.
pub(super) fn move_others(run_dir: &Path, output_data_dir: &Path) {
    let moved = atomic_file::create_dir(output_data_dir).and_then(|()| {
        let entries = fs::read_dir(run_dir).map_err(Error::io(Action::Read, run_dir))?;
        for entry in entries {
            let entry = entry.map_err(Error::io(Action::Read, run_dir))?;
            let name = entry.file_name();
            if MODEL_FILES.iter().all(|model_file| name != *model_file) && entry.path().is_file() {
                move_file(&entry.path(), &output_data_dir.join(name))?;
            }
        }
        Ok(())
    });
    if let Err(error) = moved {
        log::warn!("report or metrics are missing in {}: {error}", output_data_dir.display());
    }
}

fn move_file(from: &Path, to: &Path) -> Result<()> {
    if fs::rename(from, to).is_ok() {
        return atomic_file::sync_dir(to.parent().unwrap_or(to));
    }
    // It lies on another file system.
    let mut source = fs::File::open(from).map_err(Error::io(Action::Read, from))?;
    atomic_file::replace(to, |file| io::copy(&mut source, file).map(drop))
}
