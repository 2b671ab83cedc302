//! The model that stands, whenever another takes its place.

use std::path::Path;
use std::sync::Arc;
use std::thread;

use super::saved_model::SavedModel;
use super::service::Service;
use crate::artifact::{self, Standing};
use crate::config::SERVE_RELOAD_INTERVAL;
use crate::error::Result;

/// Loads the model that stands and begins to serve it. Returns which one that is.
pub(super) fn load(service: &Arc<Service>) -> Result<Standing> {
    let dir = &service.options.model_dir;
    // From before it is read: one that takes its place meanwhile is noticed afterwards.
    let standing = artifact::standing(dir);
    set(service, dir)?;
    Ok(standing)
}

/// Serves each model that takes the place of `standing`. Does not return.
pub(super) fn watch(service: &Arc<Service>, mut standing: Standing) -> ! {
    let dir = &service.options.model_dir;
    loop {
        thread::sleep(SERVE_RELOAD_INTERVAL);
        let current = artifact::standing(dir);
        if current == standing {
            continue;
        }
        // One that cannot be used is not tried again.
        standing = current;
        let result = set(service, dir);
        if let Err(error) = &result {
            log::warn!("the model from before is served on: {error}");
        }
        let result = if result.is_ok() { "ok" } else { "failed" };
        service.metrics.reloads.get_or_create(&[("result", result.to_owned())]).inc();
    }
}

fn set(service: &Arc<Service>, dir: &Path) -> Result<()> {
    let model = SavedModel::load(dir, service.options.limits.max_decode_bytes)?;
    let description = model.description().clone();
    service.set_model(Arc::new(model))?;
    log::info!(
        "{}: serving model {} with {} classes on {} workers, {}",
        dir.display(),
        &description.id[..description.id.len().min(12)],
        description.num_classes,
        service.options.num_workers,
        description.engine
    );
    Ok(())
}
