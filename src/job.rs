//! What one run reads, how it trains, where it writes.

use std::path::{Path, PathBuf};

use crate::config;
use crate::data::image_folder::Split;
use crate::run::host;
use crate::train::fit::Hyperparameters;

/// Whether a run's data and weights are the user's or drawn by this program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Photographs and a pretrained backbone.
    Real,
    /// The built-in sample: drawn images, a constructed backbone that was never trained.
    Sample,
}

/// The constants of [`config`], or what SageMaker gives in their place.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// Sample or real.
    pub kind: Kind,
    /// Holds the folders of the splits.
    pub data_dir: PathBuf,
    /// Train, valid, test: names below `data_dir`, or paths of their own.
    pub split_dirs: [PathBuf; 3],
    /// Holds the backbone's weights.
    pub weights_dir: PathBuf,
    /// The weights file that is used when it is there.
    pub weights_file: &'static str,
    /// Receives the artifacts.
    pub model_dir: PathBuf,
    /// Keeps what a run that was stopped goes on from; `None`: beside the artifacts.
    pub state_dir: Option<PathBuf>,
    /// Threads that extract features. The result does not depend on it.
    pub num_workers: usize,
    /// How the head is fitted.
    pub hyperparameters: Hyperparameters,
}

impl Job {
    /// The main job.
    pub fn real() -> Self {
        Job {
            kind: Kind::Real,
            data_dir: config::DATA_DIR.into(),
            split_dirs: Split::ALL.map(|split| split.name().into()),
            weights_dir: config::WEIGHTS_DIR.into(),
            weights_file: config::WEIGHTS_FILE,
            model_dir: config::MODEL_DIR.into(),
            state_dir: None,
            num_workers: host::num_cpus(),
            hyperparameters: Hyperparameters::default(),
        }
    }

    /// The same job on the built-in sample.
    pub fn sample() -> Self {
        Job {
            kind: Kind::Sample,
            data_dir: config::SAMPLE_DATA_DIR.into(),
            weights_dir: config::SAMPLE_WEIGHTS_DIR.into(),
            weights_file: config::SAMPLE_WEIGHTS_FILE,
            model_dir: config::SAMPLE_MODEL_DIR.into(),
            ..Job::real()
        }
    }

    /// The same job for a process that leaves the model to rank 0: what it keeps lies in a folder of its
    /// own, since several ranks may share one disk.
    pub fn of_rank(&self, rank: usize) -> Self {
        let model_dir = self.state_dir().join(format!("rank-{rank}"));
        Job { model_dir, state_dir: None, ..self.clone() }
    }

    /// Keeps what a run that was stopped goes on from.
    pub fn state_dir(&self) -> &Path {
        self.state_dir.as_deref().unwrap_or(&self.model_dir)
    }

    /// Where the fit goes on from after it was stopped.
    pub fn checkpoint_path(&self) -> PathBuf {
        self.state_dir().join(config::CHECKPOINT_FILE)
    }

    /// Receives the model in the formats of other programs.
    pub fn export_dir(&self) -> PathBuf {
        self.model_dir.join(config::EXPORT_DIR)
    }

    /// Where fine-tuning goes on from after it was stopped.
    pub fn layer4_checkpoint_path(&self) -> PathBuf {
        self.state_dir().join(config::LAYER4_CHECKPOINT_FILE)
    }

    /// Keeps the hashes of the weights and of the standing model from run to run.
    pub fn digests_path(&self) -> PathBuf {
        self.features_dir().join(config::DIGESTS_FILE)
    }

    /// Keeps the thumbnails of the report from run to run.
    pub fn thumbnails_path(&self) -> PathBuf {
        self.features_dir().join(config::THUMBNAILS_FILE)
    }

    /// Keeps features from run to run.
    pub fn features_dir(&self) -> PathBuf {
        self.state_dir().join(config::FEATURES_DIR)
    }
}
