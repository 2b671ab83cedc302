//! Reading a model back.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use super::links;
use super::metadata::Metadata;
use super::names::{METADATA_FILE, MODEL_FILE};
use crate::digest;
use crate::error::{Action, Error, Result};
use crate::file_stat::Stat;
use crate::known_digests::KnownDigests;
use crate::model::resnet;
use crate::model::state_dict::StateDict;

/// A model that was read back.
#[derive(Debug)]
pub struct TrainedModel {
    /// What model.json says.
    pub metadata: Metadata,
    /// All 320 tensors.
    pub state_dict: StateDict,
}

/// Reads the standing model from `dir`, while trainings may replace it.
///
/// # Errors
/// [`Error::InputMissing`] before the first training, [`Error::BadData`] when model.pth and
/// model.json do not belong together.
pub fn load(dir: &Path) -> Result<TrainedModel> {
    while_it_stands(dir, |dir| {
        let metadata = read_metadata(dir)?;
        require_pair(dir, &metadata, |path| Ok(digest::of_file(path)?.0))?;
        let path = dir.join(MODEL_FILE);
        let state_dict = StateDict::load(&path)?;
        state_dict.check(&path, &resnet::tensor_specs(metadata.class_names.len()))?;
        Ok(TrainedModel { metadata, state_dict })
    })
}

/// Reads model.json of the standing model from `dir`.
///
/// # Errors
/// [`Error::InputMissing`] before the first training, [`Error::BadData`] when it is no model.json.
pub fn load_metadata(dir: &Path) -> Result<Metadata> {
    while_it_stands(dir, read_metadata)
}

/// model.json of the standing model in `dir`, if that model is whole: a damaged one stands in
/// nobody's way.
///
/// # Errors
/// [`Error::Stopped`]
pub fn load_standing(dir: &Path, digests: &KnownDigests) -> Result<Option<Metadata>> {
    let read = |dir: &Path| {
        let metadata = read_metadata(dir)?;
        require_pair(dir, &metadata, |path| digests.of_file(path))?;
        Ok(metadata)
    };
    match while_it_stands(dir, read) {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error @ Error::Stopped(_)) => Err(error),
        Err(Error::InputMissing { .. }) => Ok(None),
        Err(error) => {
            log::warn!("the model of before cannot be used: {error}");
            Ok(None)
        }
    }
}

/// The path of the standing model's model.pth, links followed once.
pub fn model_path(dir: &Path) -> PathBuf {
    links::resolve(dir).join(MODEL_FILE)
}

/// As often as another model may take the place of the one that is being read.
const ATTEMPTS: usize = 20;
const PAUSE: Duration = Duration::from_millis(50);

/// Reads from the folder of the standing model, and again where that fails because another model
/// has taken its place meanwhile.
fn while_it_stands<T>(dir: &Path, mut read: impl FnMut(&Path) -> Result<T>) -> Result<T> {
    let mut attempt = 1;
    loop {
        let resolved = links::resolve(dir);
        let before = identity(&resolved);
        match read(&resolved) {
            Err(_)
                if attempt < ATTEMPTS
                    && (links::resolve(dir) != resolved || identity(&resolved) != before) =>
            {
                attempt += 1;
                thread::sleep(PAUSE);
            }
            result => return result,
        }
    }
}

/// Changes whenever another model takes the place of the standing one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing(PathBuf, Identity);

/// Which model stands in `dir`, without reading it.
pub fn standing(dir: &Path) -> Standing {
    let resolved = links::resolve(dir);
    let identity = identity(&resolved);
    Standing(resolved, identity)
}

/// Of model.pth and of model.json.
type Identity = [Option<Stat>; 2];

/// Which two files lie in `dir`.
fn identity(dir: &Path) -> Identity {
    [MODEL_FILE, METADATA_FILE].map(|name| fs::metadata(dir.join(name)).ok().as_ref().map(Stat::of))
}

fn require_pair(
    dir: &Path,
    metadata: &Metadata,
    sha256: impl Fn(&Path) -> Result<String>,
) -> Result<()> {
    let path = dir.join(MODEL_FILE);
    if sha256(&path)? == metadata.model_sha256 {
        return Ok(());
    }
    Err(Error::bad_data(
        &path,
        format!("is not the file that {METADATA_FILE} beside it describes"),
        "Run `ec2train` again, or put the pair of one training there.",
    ))
}

fn read_metadata(dir: &Path) -> Result<Metadata> {
    let path = dir.join(METADATA_FILE);
    let text = match fs::read_to_string(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
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
