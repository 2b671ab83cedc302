//! From a trained model to the one that is served.

use std::path::{Path, PathBuf};

use super::gate::Verdict;
use super::metadata::Metadata;
use super::names::{MODEL_FILE, RUNS_DIR};
use super::save::save;
use super::{links, retention};
use crate::config::KEPT_MODELS;
use crate::error::Result;
use crate::model::state_dict::StateDict;
use crate::train::fit::Epoch;

/// Writes a model into a folder of its own below `dir` and, where `verdict` says so, makes it the
/// standing one in one step. `add_files` may put more into the folder before anyone sees it; it is
/// given what model.json says, and what `prepare` has made of that while the disk was waited for, when it
/// lacked the model's hash. Models beyond the latest are deleted. Returns the path of its model.pth.
///
/// # Errors
/// [`Error::Io`](crate::error::Error::Io) with the path,
/// [`Error::Stopped`](crate::error::Error::Stopped): the standing model is then untouched.
pub fn publish<T: Send>(
    dir: &Path,
    state_dict: &StateDict,
    metadata: &mut Metadata,
    history: &[Epoch],
    verdict: Verdict,
    prepare: impl FnOnce(&Metadata) -> T + Send,
    add_files: impl FnOnce(&Path, &Metadata, T),
) -> Result<PathBuf> {
    let runs_dir = dir.join(RUNS_DIR);
    let unfinished = links::new_folder(&runs_dir)?;
    metadata.promoted = verdict.is_promoted();
    let unhashed = metadata.clone();
    let prepared = save(unfinished.path(), state_dict, metadata, history, || prepare(&unhashed))?;
    add_files(unfinished.path(), metadata, prepared);
    let has_links = links::are_supported(dir)?;
    if has_links {
        links::adopt(dir)?;
    }
    let id = links::finish_folder(unfinished, &runs_dir)?;
    if metadata.promoted {
        if has_links { links::switch(dir, &id)? } else { links::copy(dir, &id)? }
    }
    retention::prune(dir, KEPT_MODELS)?;
    Ok(runs_dir.join(id).join(MODEL_FILE))
}
