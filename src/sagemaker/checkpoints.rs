//! Where a job keeps what a restarted one goes on from.

use std::path::PathBuf;

use super::layout::Layout;

/// The folder of checkpoints, which SageMaker makes where the job has a place for them in S3; `None`
/// without one, or when nothing can be written there.
pub(super) fn dir(layout: &Layout) -> Option<PathBuf> {
    let dir = layout.checkpoints_dir();
    if !dir.is_dir() {
        log::info!("{}: not there, a job that is stopped begins anew", dir.display());
        return None;
    }
    match tempfile::tempfile_in(&dir) {
        Ok(_) => Some(dir),
        Err(error) => {
            log::warn!("{}: {error}: a job that is stopped begins anew", dir.display());
            None
        }
    }
}
