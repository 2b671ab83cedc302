//! The backbone's weights file: which one, whether it is whole, what it holds.

use std::borrow::Cow;
use std::fs;
use std::path::{Path, PathBuf};

use super::resnet::{self, HEAD};
use super::state_dict::{Dtype, StateDict, StoredDict, TensorData, TensorReader, TensorSource};
use crate::config::{RESIZE_V1, RESIZE_V2, WEIGHTS_URLS};
use crate::digest;
use crate::error::{Action, Error, Result};
use crate::file_stat::Stat;
use crate::known_digests::KnownDigests;

/// A weights file that is whole. Its tensors are read when they are needed: 100 MB that a run can do
/// without while it computes features.
#[derive(Debug, Clone)]
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
        Weights::locate_and(dir, preferred, digests, |_| ()).map(|(weights, _)| weights)
    }

    /// The same. Where the file has to be read for its hash, `meanwhile` is given its tensors, if they are those of a
    /// ResNet50 and can be read one by one. What it makes of them is returned if it is of the bytes that were hashed.
    ///
    /// # Errors
    /// As [`Weights::locate`].
    pub fn locate_and<T: Send>(
        dir: &Path,
        preferred: &str,
        digests: &KnownDigests,
        meanwhile: impl FnOnce(&dyn TensorSource) -> T + Send,
    ) -> Result<(Self, Option<T>)> {
        let path = find(dir, preferred)?;
        if path.file_name().is_none_or(|name| name != preferred) {
            log::info!("{preferred} is not in {}; using {}", dir.display(), path.display());
        }
        let stat = stat(&path)?;
        let (sha256, made) = match digests.known(&path)? {
            Some(sha256) => (sha256, None),
            None => {
                let make = || open_stored(&path, &stat).map(|stored| meanwhile(&stored));
                let (sha256, made) = rayon::join(|| digests.of_file(&path), make);
                // Both are of the same bytes only if nothing has touched the file.
                let is_touched = self::stat(&path)? != stat;
                (sha256?, made.filter(|_| !is_touched))
            }
        };
        require_name_matches(&path, &sha256)?;
        Ok((Weights { resize: resize_of(&path), path, sha256, stat }, made))
    }

    /// Reads every tensor of ResNet50 but the head's.
    ///
    /// # Errors
    /// [`Error::BadData`] when the file is not a ResNet50, or no longer the one that was located.
    pub fn load(&self) -> Result<StateDict> {
        let mut state_dict = StateDict::load(&self.path)?;
        self.require_unchanged()?;
        // The head is replaced; whatever number of classes it had is of no interest.
        for name in HEAD {
            state_dict.remove(name);
        }
        require_backbone(&mut state_dict, &self.path)?;
        Ok(state_dict)
    }

    /// The same tensors, each of which is read when it is asked for if the file allows it: otherwise they take
    /// 94 MB of memory.
    ///
    /// # Errors
    /// As [`Weights::load`].
    pub fn open(&self) -> Result<Box<dyn TensorSource>> {
        Ok(match open_stored(&self.path, &self.stat) {
            Some(stored) => Box::new(StoredWeights { stored, weights: self.clone() }),
            None => Box::new(self.load()?),
        })
    }

    /// Passes where the file is still the one that was located.
    fn require_unchanged(&self) -> Result<()> {
        // Hashed again only where something touched it: 0.1 s that matter to a run with nothing new.
        let is_touched = stat(&self.path)? != self.stat;
        if is_touched && digest::of_file(&self.path)?.0 != self.sha256 {
            return Err(Error::bad_data(
                &self.path,
                "was replaced during the run",
                "Start again; put new weights there under another name, and by renaming them.",
            ));
        }
        Ok(())
    }
}

/// The file at `path`, as it is by `stat`, if it has every tensor as it is wanted.
fn open_stored(path: &Path, stat: &Stat) -> Option<StoredDict> {
    StoredDict::open(path, |metadata| Stat::of(metadata) == *stat)
        .filter(|stored| stored.has_exactly(&resnet::backbone_specs(), &HEAD))
}

/// Bytes read at once.
const PIECE: usize = 1 << 16;

/// A weights file that has every tensor as it is wanted.
#[derive(Debug)]
struct StoredWeights {
    stored: StoredDict,
    weights: Weights,
}

impl TensorSource for StoredWeights {
    fn open(&self, name: &str) -> Result<Option<TensorReader<'_>>> {
        self.stored.open(name)
    }

    fn all(&self) -> Result<Cow<'_, StateDict>> {
        self.stored.all()
    }

    fn check_rest(&self) -> Result<()> {
        let mut piece = [0; PIECE];
        for name in HEAD {
            let Some(mut tensor) = self.stored.open(name)? else { continue };
            while tensor.num_left() > 0 {
                let len = tensor.num_left().min(PIECE);
                tensor.read(&mut piece[..len])?;
            }
        }
        Ok(())
    }

    fn require_unchanged(&self) -> Result<()> {
        self.weights.require_unchanged()
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
    let specs = resnet::backbone_specs();
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

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::time::{Duration, SystemTime};

    use super::*;

    /// Weights with a head of three classes, or with half as precise numbers.
    fn write(path: &Path, dtype: Dtype) {
        let mut state_dict = StateDict::new();
        for spec in resnet::tensor_specs(3) {
            let dtype = if spec.dtype == Dtype::F32 { dtype } else { spec.dtype };
            let num_bytes = spec.shape.iter().product::<usize>() * dtype.size_bytes();
            let bytes = (0..num_bytes).map(|byte| (byte % 61) as u8).collect();
            state_dict.insert(spec.name, TensorData { dtype, shape: spec.shape, bytes });
        }
        state_dict.save_pth(&mut File::create(path).unwrap()).unwrap();
    }

    fn locate(dir: &Path) -> Weights {
        let digests = KnownDigests::open(&dir.join("digests.json"));
        Weights::locate(dir, "resnet50.pth", &digests).unwrap()
    }

    #[test]
    fn the_tensors_that_are_read_later_are_the_ones_that_are_read_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("resnet50.pth");
        // The second cannot be used as it is.
        for dtype in [Dtype::F32, Dtype::F16] {
            write(&path, dtype);
            let weights = locate(dir.path());
            let opened = weights.open().unwrap();
            for (name, tensor) in weights.load().unwrap().iter() {
                assert!(
                    opened.open(name).unwrap().unwrap().read_all().unwrap() == *tensor,
                    "{name}"
                );
            }
            opened.check_rest().unwrap();
            opened.require_unchanged().unwrap();
        }
    }

    #[test]
    fn a_file_that_is_replaced_or_damaged_meanwhile_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("resnet50.pth");
        write(&path, Dtype::F32);
        let weights = locate(dir.path());
        let opened = weights.open().unwrap();
        // The same bytes.
        write(&path, Dtype::F32);
        opened.require_unchanged().unwrap();
        let mut bytes = fs::read(&path).unwrap();
        // Of the head, which comes before the directory, whose place is told at the end.
        let directory = *bytes[..bytes.len() - 2].last_chunk().unwrap();
        bytes[u32::from_le_bytes(directory) as usize - 5_000] ^= 1;
        fs::write(&path, bytes).unwrap();
        let error = opened.check_rest().unwrap_err().to_string();
        assert!(error.contains("Invalid checksum"), "{error}");
        let error = opened.require_unchanged().unwrap_err().to_string();
        assert!(error.contains("was replaced during the run"), "{error}");
        assert!(weights.open().is_err());
    }
    #[test]
    fn something_is_made_of_the_weights_while_they_are_hashed_if_nothing_touches_them() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("resnet50.pth");
        let digests = KnownDigests::open(&dir.path().join("digests.json"));
        let long_ago = SystemTime::now() - Duration::from_secs(60);
        let set_time = |time| File::open(&path).unwrap().set_modified(time).unwrap();
        let count = |tensors: &dyn TensorSource| tensors.all().unwrap().iter().count();
        write(&path, Dtype::F32);
        let touching = |tensors: &dyn TensorSource| {
            set_time(SystemTime::now() + Duration::from_secs(5));
            count(tensors)
        };
        let locate = |make: &(dyn Fn(&dyn TensorSource) -> usize + Sync)| {
            let found = Weights::locate_and(dir.path(), "resnet50.pth", &digests, make);
            let (weights, made) = found.unwrap();
            assert_eq!(weights.sha256, digest::of_file(&path).unwrap().0);
            made
        };
        assert_eq!(locate(&touching), None);
        set_time(long_ago);
        assert_eq!(locate(&count), Some(resnet::tensor_specs(3).len()));
        // Now the hash is known.
        assert_eq!(locate(&count), None);
        write(&path, Dtype::F16);
        assert_eq!(locate(&count), None);
    }
}
