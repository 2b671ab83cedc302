//! From a trained model to the one that is served.

use std::path::{Path, PathBuf};

use super::gate::Verdict;
use super::metadata::Metadata;
use super::names::{MODEL_FILE, RUNS_DIR};
use super::save::save_metadata;
use super::{Draft, links, retention};
use crate::config::KEPT_MODELS;
use crate::error::Result;
use crate::model::head::Head;
use crate::train::fit::Epoch;

/// Completes `draft` by its head and, where `verdict` says so, makes it the standing model in one step.
/// `add_files` may put more into its folder before anyone sees it; it is given what model.json says, and
/// what `prepare` has made of that while the disk was waited for, when it lacked the model's hash. Models
/// beyond the latest are deleted. Returns the path of its model.pth.
///
/// # Errors
/// [`Error::Io`](crate::error::Error::Io) with the path,
/// [`Error::Stopped`](crate::error::Error::Stopped): the standing model is then untouched.
pub fn publish<T: Send>(
    draft: Draft,
    head: &Head,
    metadata: &mut Metadata,
    history: &[Epoch],
    verdict: Verdict,
    prepare: impl FnOnce(&Metadata) -> T + Send,
    add_files: impl FnOnce(&Path, &Metadata, T),
) -> Result<PathBuf> {
    let dir = &draft.dir.clone();
    let runs_dir = dir.join(RUNS_DIR);
    metadata.promoted = verdict.is_promoted();
    let unhashed = metadata.clone();
    let (finished, prepared) = rayon::join(|| draft.finish(head), || prepare(&unhashed));
    let (unfinished, sha256) = finished?;
    metadata.model_sha256 = sha256;
    save_metadata(unfinished.path(), metadata, history)?;
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
