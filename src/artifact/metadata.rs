//! What model.json says.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::config::TrainFrom;
use crate::data::FileNote;
use crate::data::leakage::Leak;
use crate::data::transform::EvalTransform;
use crate::job::Kind;
use crate::metrics::Metrics;
use crate::run::console::seconds;
use crate::run::cpu_time::CpuTime;
use crate::run::ec2::cost::CostEstimate;
use crate::run::host::Host;
use crate::train::fit::Hyperparameters;
use crate::train::search::Search;

/// Everything that is needed to use model.pth, and to tell where it came from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metadata {
    /// Name and version of this program.
    pub program: String,
    /// End of the training, UTC.
    pub created: jiff::Timestamp,
    /// Real, or the built-in sample.
    pub kind: Kind,
    /// For people: what the weights and images were.
    pub description: String,
    /// Always "resnet50".
    pub architecture: String,
    /// SHA-256 of model.pth: tells whether the two files belong together.
    pub model_sha256: String,
    /// BLAKE3 over all that the model follows from: a run with the same would make it again. `None` of
    /// a model from before this was recorded.
    #[serde(default)]
    pub inputs: Option<String>,
    /// In the order of the head's outputs.
    pub class_names: Vec<String>,
    /// From an image to the network's input.
    pub transform: Transform,
    /// Where the frozen part came from.
    pub backbone: BackboneOrigin,
    /// What computed the features.
    pub engine: String,
    /// Views of each train image that the head learnt from.
    pub train_views: u32,
    /// Where the trained part of the network begins.
    #[serde(default)]
    pub train_from: TrainFrom,
    /// How the head was fitted.
    pub hyperparameters: Hyperparameters,
    /// How the head's L2 penalty was chosen. `None` where it was not, or before this was recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub search: Option<Search>,
    /// Logits are divided by it before they become probabilities. `None`: they are not.
    #[serde(default)]
    pub temperature: Option<f64>,
    /// The epoch that was kept, from 1.
    pub best_epoch: usize,
    /// Epochs that were trained.
    pub num_epochs: usize,
    /// Of the head that was kept.
    pub metrics: SplitMetrics,
    /// Whether the model took the place of the one from before, or was kept beside it because it is
    /// worse on the same test split.
    #[serde(default = "yes")]
    pub promoted: bool,
    /// The images.
    pub data: DataSummary,
    /// The machine.
    pub host: Host,
    /// Wall time and memory.
    pub cost: Cost,
}

/// Resize the shorter side with antialiased bilinear interpolation, crop the centre, scale to 0-1,
/// normalize.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Transform {
    /// Shorter side after resizing, in pixels.
    pub resize: u32,
    /// Side of the centre crop, in pixels.
    pub crop: u32,
    /// Per channel, RGB.
    pub mean: [f32; 3],
    /// Per channel, RGB.
    pub std: [f32; 3],
}

impl From<&Transform> for EvalTransform {
    fn from(&Transform { resize, crop, mean, std }: &Transform) -> Self {
        EvalTransform { resize, crop, mean, std }
    }
}

/// The file that the backbone was read from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BackboneOrigin {
    /// Its name.
    pub file: String,
    /// Of the file.
    pub sha256: String,
}

/// The three splits. Test was evaluated once, after the epoch was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SplitMetrics {
    /// The head was fitted on it.
    pub train: Metrics,
    /// The epoch was chosen on it.
    pub valid: Metrics,
    /// Not seen before.
    pub test: Metrics,
}

/// Which images were used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DataSummary {
    /// The folder that was read.
    pub dir: PathBuf,
    /// BLAKE3 over split, class and content of every image used: equal for equal data.
    pub fingerprint: String,
    /// BLAKE3 over class and content of every image of test: equal for equal test sets.
    pub test_fingerprint: Option<String>,
    /// Images used.
    pub num_train: usize,
    /// Images used.
    pub num_valid: usize,
    /// Images used.
    pub num_test: usize,
    /// Files that could not be used.
    pub skipped: Vec<FileNote>,
    /// Files that were used although something is wrong with them.
    pub damaged: Vec<FileNote>,
    /// Files of valid and test whose content is also in train.
    pub leaks: Vec<Leak>,
}

/// What the run took.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// Threads that extracted features, in this process.
    pub num_workers: usize,
    /// Processes that shared the work, each on its own machine or on one.
    #[serde(default = "one")]
    pub world_size: usize,
    /// From image files to features.
    pub features_seconds: f64,
    /// All epochs of the head.
    pub fit_seconds: f64,
    /// From start to the artifacts.
    pub total_seconds: f64,
    /// The most memory that was resident.
    pub peak_memory_bytes: u64,
    /// What the machine's CPUs did meanwhile.
    #[serde(default)]
    pub cpu: CpuTime,
    /// In US dollars, on an EC2 instance of a type with a known price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimate: Option<CostEstimate>,
}

/// As in `3 min 07 s; CPU 97 % busy, ...; about $0.002 at ...`.
impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", seconds(self.total_seconds), self.cpu)?;
        self.estimate.as_ref().map_or(Ok(()), |estimate| write!(f, "; {estimate}"))
    }
}

/// Of a model.json from before there could be several.
fn one() -> usize {
    1
}

/// Of a model.json from before there was a choice.
fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_they_were_written() {
        // The first one was read as ..576.
        for seconds in [0.907_668_422_780_957_5, 0.1 + 0.2, f64::MIN_POSITIVE, 1e300 / 3.0] {
            let cost = Cost {
                num_workers: 2,
                world_size: 1,
                features_seconds: seconds,
                fit_seconds: -seconds,
                total_seconds: seconds / 7.0,
                peak_memory_bytes: u64::MAX,
                cpu: CpuTime::default(),
                estimate: None,
            };
            let json = serde_json::to_string(&cost).unwrap();
            assert_eq!(serde_json::from_str::<Cost>(&json).unwrap(), cost, "{json}");
        }
    }
}
