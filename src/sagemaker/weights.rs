//! The pretrained weights of a job.

use std::env;
use std::path::{Path, PathBuf};

use super::layout::Layout;
use crate::config::{WEIGHTS_DIR, WEIGHTS_FILE};
use crate::error::{Error, Result};
use crate::fetch;
use crate::model::weights;

/// Channels that may bring them.
const CHANNELS: [&str; 2] = ["weights", "model"];

/// Their file: of a channel; otherwise of the first that has them of `data/weights`, the same beside the
/// program, which is where an image has them, and `download_dir`. Into that they are downloaded if
/// need be.
///
/// # Errors
/// [`Error::InputMissing`] for a channel without weights, [`Error::Download`].
pub(super) fn locate(layout: &Layout, download_dir: &Path) -> Result<PathBuf> {
    for channel in CHANNELS {
        let Some(dir) = layout.channel_dir(channel) else { continue };
        return match weights::find(&dir, WEIGHTS_FILE) {
            Err(Error::InputMissing { what, path, .. }) => {
                let remedy = format!(
                    "The channel `{channel}` has to hold {WEIGHTS_FILE} or one other \
                     resnet50*.pth or .safetensors; without the channel the image's are used."
                );
                Err(Error::InputMissing { what, path, remedy })
            }
            found => found,
        };
    }
    let beside = env::current_exe().ok().and_then(|path| Some(path.parent()?.join(WEIGHTS_DIR)));
    for dir in [Some(WEIGHTS_DIR.into()), beside].into_iter().flatten() {
        match weights::find(&dir, WEIGHTS_FILE) {
            Err(Error::InputMissing { .. }) => {}
            found => return found,
        }
    }
    fetch::fetch_weights(download_dir, &fetch::Progress::lines())?;
    weights::find(download_dir, WEIGHTS_FILE)
}
