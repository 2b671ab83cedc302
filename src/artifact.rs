//! What a training leaves in TrainedModels: the names, the writing, the reading back.

use std::fmt;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::atomic_file;
use crate::data::FileNote;
use crate::data::leakage::Leak;
use crate::digest;
use crate::error::{Action, Error, Result};
use crate::job::Kind;
use crate::metrics::Metrics;
use crate::model::resnet;
use crate::model::state_dict::StateDict;
use crate::run::console::seconds;
use crate::run::cpu_time::CpuTime;
use crate::run::ec2::cost::CostEstimate;
use crate::run::host::Host;
use crate::train::fit::{Epoch, Hyperparameters};

/// The state dict: torchvision's names, `fc` with as many rows as there are classes.
pub const MODEL_FILE: &str = "model.pth";
/// [`Metadata`] as JSON.
pub const METADATA_FILE: &str = "model.json";
/// An [`Epoch`] per line.
pub const HISTORY_FILE: &str = "history.jsonl";

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
    /// How the head was fitted.
    pub hyperparameters: Hyperparameters,
    /// The epoch that was kept, from 1.
    pub best_epoch: usize,
    /// Epochs that were trained.
    pub num_epochs: usize,
    /// Of the kept epoch.
    pub metrics: SplitMetrics,
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
    /// Threads that extracted features.
    pub num_workers: usize,
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

/// Writes the artifacts of a training into `dir`, each by atomic replace, and completes
/// `metadata.model_sha256`. A model.json never describes a model.pth other than its own: readers
/// compare the hash.
///
/// # Errors
/// [`Error::Io`] with the path; what was not yet replaced is untouched.
pub fn save(
    dir: &Path,
    state_dict: &StateDict,
    metadata: &mut Metadata,
    history: &[Epoch],
) -> Result<()> {
    let model_path = dir.join(MODEL_FILE);
    atomic_file::replace(&model_path, |file| state_dict.save_pth(file))?;
    (metadata.model_sha256, _) = digest::of_file(&model_path)?;
    write_lines(&dir.join(HISTORY_FILE), history)?;
    let text = serde_json::to_string_pretty(metadata).map_err(|error| internal(&error))?;
    atomic_file::replace(&dir.join(METADATA_FILE), |file| writeln!(file, "{text}"))
}

/// A model that was read back.
#[derive(Debug)]
pub struct TrainedModel {
    /// What model.json says.
    pub metadata: Metadata,
    /// All 320 tensors.
    pub state_dict: StateDict,
}

/// Reads model.pth and model.json from `dir`.
///
/// # Errors
/// [`Error::InputMissing`] before the first training, [`Error::BadData`] when the two files do not
/// belong together.
pub fn load(dir: &Path) -> Result<TrainedModel> {
    let metadata = load_metadata(dir)?;
    let path = dir.join(MODEL_FILE);
    if digest::of_file(&path)?.0 != metadata.model_sha256 {
        return Err(Error::bad_data(
            &path,
            format!("is not the file that {METADATA_FILE} beside it describes"),
            "Run `ec2train` again, or put the pair of one training there.",
        ));
    }
    let state_dict = StateDict::load(&path)?;
    state_dict.check(&path, &resnet::tensor_specs(metadata.class_names.len()))?;
    Ok(TrainedModel { metadata, state_dict })
}

/// Reads model.json from `dir`.
///
/// # Errors
/// [`Error::InputMissing`] before the first training, [`Error::BadData`] when it is no model.json.
pub fn load_metadata(dir: &Path) -> Result<Metadata> {
    let path = dir.join(METADATA_FILE);
    let text = match fs::read_to_string(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(Error::InputMissing {
                what: "a trained model",
                path,
                remedy: "`ec2train` trains one.".into(),
            });
        }
        result => result.map_err(Error::io(Action::Read, &path))?,
    };
    serde_json::from_str(&text).map_err(|error| {
        let remedy = "It was written by another version or altered: run `ec2train` again.";
        Error::bad_data(&path, format!("cannot be understood: {error}"), remedy)
    })
}

fn write_lines(path: &Path, values: &[impl Serialize]) -> Result<()> {
    let lines: Vec<String> = values
        .iter()
        .map(serde_json::to_string)
        .collect::<Result<_, _>>()
        .map_err(|error| internal(&error))?;
    atomic_file::replace(path, |file| lines.iter().try_for_each(|line| writeln!(file, "{line}")))
}

fn internal(error: &serde_json::Error) -> Error {
    Error::Internal(format!("cannot write JSON: {error}"))
}
