//! The backbone's weights file: which one, whether it is whole, what it holds.

use std::fs;
use std::path::{Path, PathBuf};

use super::resnet;
use super::state_dict::{Dtype, StateDict, TensorData};
use crate::config::{RESIZE_V1, RESIZE_V2, WEIGHTS_URLS};
use crate::digest;
use crate::error::{Action, Error, Result};
use crate::file_stat::Stat;
use crate::known_digests::KnownDigests;

/// A weights file that is whole. Its tensors are read when they are needed: 100 MB that a run can do
/// without while it computes features.
#[derive(Debug)]
pub struct Weights {
    /// The file.
    pub path: PathBuf,
    /// Of the file, in lower-case hex.
    pub sha256: String,
    /// Shorter side after resizing, in pixels, in the recipe these weights were trained with.
    pub resize: u32,
    /// From before it was read.
    stat: Stat,
}

fn stat(path: &Path) -> Result<Stat> {
    fs::metadata(path).map(|metadata| Stat::of(&metadata)).map_err(Error::io(Action::Read, path))
}

impl Weights {
    /// Finds the file (see [`find`]) and compares it with the hash in its name.
    ///
    /// # Errors
    /// [`Error::InputMissing`] without a file; [`Error::BadData`] when its SHA-256 is not the one
    /// in its name.
    pub fn locate(dir: &Path, preferred: &str, digests: &KnownDigests) -> Result<Self> {
        let path = find(dir, preferred)?;
        if path.file_name().is_none_or(|name| name != preferred) {
            log::info!("{preferred} is not in {}; using {}", dir.display(), path.display());
        }
        let stat = stat(&path)?;
        let sha256 = digests.of_file(&path)?;
        require_name_matches(&path, &sha256)?;
        Ok(Weights { resize: resize_of(&path), path, sha256, stat })
    }

    /// Reads every tensor of ResNet50 but the head's.
    ///
    /// # Errors
    /// [`Error::BadData`] when the file is not a ResNet50, or no longer the one that was located.
    pub fn load(&self) -> Result<StateDict> {
        let mut state_dict = StateDict::load(&self.path)?;
        // Hashed again only where something touched it: 0.1 s that matter to a run with nothing new.
        let is_touched = stat(&self.path)? != self.stat;
        if is_touched && digest::of_file(&self.path)?.0 != self.sha256 {
            return Err(Error::bad_data(
                &self.path,
                "was replaced during the run",
                "Start again; put new weights there under another name, and by renaming them.",
            ));
        }
        // The head is replaced; whatever number of classes it had is of no interest.
        state_dict.remove("fc.weight");
        state_dict.remove("fc.bias");
        require_backbone(&mut state_dict, &self.path)?;
        Ok(state_dict)
    }
}

/// The file `preferred` in `dir`, else the only `resnet50*.pth` or `.safetensors` there.
///
/// # Errors
/// [`Error::InputMissing`] when there is none, [`Error::BadData`] when there are several.
pub fn find(dir: &Path, preferred: &str) -> Result<PathBuf> {
    let path = dir.join(preferred);
    if path.is_file() {
        return Ok(path);
    }
    let mut others = Vec::new();
    if let Ok(entries) = fs::read_dir(dir) {
        for entry in entries {
            let other = entry.map_err(Error::io(Action::Read, dir))?.path();
            let name = other.file_name().unwrap_or_default().to_string_lossy();
            let is_weights = name.ends_with(".pth") || name.ends_with(".safetensors");
            if name.starts_with("resnet50") && is_weights {
                others.push(other);
            }
        }
    }
    others.sort();
    match others.as_slice() {
        [] => Err(Error::InputMissing {
            what: "pretrained weights",
            path,
            remedy: format!(
                "`ec2train fetch` downloads them, or copy {} there by hand.\n  \
                 Without them, `ec2train train --sample` shows the program on its built-in sample.",
                WEIGHTS_URLS[0]
            ),
        }),
        [only] => Ok(only.clone()),
        several => Err(Error::bad_data(
            dir,
            format!("holds {} weights files, none of them {preferred}", several.len()),
            format!("Leave one of them there, or add {preferred}."),
        )),
    }
}

/// `resnet50-0676ba61.pth` names the first digits of its SHA-256, as every file of torch hub does.
fn require_name_matches(path: &Path, sha256: &str) -> Result<()> {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let Some((_, digits)) = stem.rsplit_once('-') else { return Ok(()) };
    let names_hash = digits.len() == 8 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    if !names_hash || sha256.starts_with(&digits.to_ascii_lowercase()) {
        return Ok(());
    }
    Err(Error::bad_data(
        path,
        format!("its SHA-256 begins with {}, its name says {digits}", &sha256[..8]),
        "The download was cut off or altered: delete the file and run `ec2train fetch`.",
    ))
}

/// Checks names and shapes. Counters that old files lack are added: torchvision's strict loading
/// asks for them, eval mode does not use them.
fn require_backbone(state_dict: &mut StateDict, path: &Path) -> Result<()> {
    let specs: Vec<_> =
        resnet::tensor_specs(0).into_iter().filter(|spec| !spec.name.starts_with("fc.")).collect();
    for spec in &specs {
        if spec.dtype == Dtype::I64 && state_dict.get(&spec.name).is_none() {
            state_dict.insert(spec.name.clone(), TensorData::scalar_i64(0));
        }
    }
    state_dict.check(path, &specs)?;
    // model.pth is f32 throughout, in torchvision's order, whatever the file was.
    let mut ordered = StateDict::new();
    for spec in specs {
        let Some(tensor) = state_dict.remove(&spec.name) else { continue };
        let tensor = if spec.dtype == Dtype::F32 && tensor.dtype != Dtype::F32 {
            TensorData::from_f32(&tensor.shape, &tensor.to_f32())
        } else {
            tensor
        };
        ordered.insert(spec.name, tensor);
    }
    *state_dict = ordered;
    Ok(())
}

/// IMAGENET1K_V2 was evaluated at 232, everything else follows V1.
fn resize_of(path: &Path) -> u32 {
    let is_v2 =
        path.file_name().is_some_and(|name| WEIGHTS_URLS[1].ends_with(&*name.to_string_lossy()));
    if is_v2 { RESIZE_V2 } else { RESIZE_V1 }
}
