//! Makes whatever of the sample is missing.

use std::path::Path;

use super::images::{self, DrawSummary};
use super::weights;
use crate::error::Result;

/// Draws the images below `data_dir` and writes the backbone to `weights_dir`, each unless it is
/// there, complete and unchanged.
///
/// # Errors
/// When a folder or file cannot be read or written.
pub fn ensure(data_dir: &Path, weights_dir: &Path) -> Result<()> {
    let DrawSummary { num_images, num_drawn } = images::draw(data_dir)?;
    log::info!(
        "{}: the sample's {num_images} images, {num_drawn} of them drawn now",
        data_dir.display()
    );
    let is_new = weights::write(weights_dir)?;
    log::info!(
        "{}: the sample's backbone, constructed and never trained, {}",
        weights_dir.display(),
        if is_new { "written now" } else { "is there" }
    );
    Ok(())
}
