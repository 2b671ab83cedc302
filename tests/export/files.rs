//! A trained model and what is exported from it, made once.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use ec2train::artifact::{self, TrainedModel};

use super::common::{WorkingDir, text};

pub const EXPORT_DIR: &str = "TrainedModels/export";

/// A folder in which a model was trained and exported in every format.
pub fn exported() -> &'static WorkingDir {
    static EXPORTED: OnceLock<WorkingDir> = OnceLock::new();
    EXPORTED.get_or_init(|| {
        let working_dir = WorkingDir::small();
        for arguments in [[].as_slice(), &["export"]] {
            let output = working_dir.run(arguments);
            assert!(output.status.success(), "{}", text(&output.stderr));
        }
        working_dir
    })
}

/// What the export was made from.
pub fn model() -> TrainedModel {
    artifact::load(&exported().path("TrainedModels")).unwrap()
}

/// Exports the same model into a folder of its own.
pub fn copy_of_model(working_dir: &Path) {
    let target = working_dir.join("TrainedModels");
    std::fs::create_dir_all(&target).unwrap();
    for name in [artifact::MODEL_FILE, artifact::METADATA_FILE] {
        std::fs::copy(exported().path("TrainedModels").join(name), target.join(name)).unwrap();
    }
}

pub fn file(name: &str) -> PathBuf {
    exported().path(EXPORT_DIR).join(name)
}
