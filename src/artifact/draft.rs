//! A model file that is begun before its head is known.

use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::fingerprint::FingerprintedFile;
use super::links;
use super::names::{MODEL_FILE, RUNS_DIR};
use crate::digest;
use crate::error::{Action, Error, Result};
use crate::known_digests::KnownDigests;
use crate::model::head::Head;
use crate::model::resnet;
use crate::model::state_dict::{PthWriter, StateDict, TensorSource, TensorSpec};
use crate::run::signals;

/// Bytes of a tensor that are copied at once.
const PIECE: usize = 1 << 16;

/// A folder that no reader sees yet, with a model.pth that lacks its head, 1 % of the file. Dropped, it is
/// deleted.
#[derive(Debug)]
pub struct Draft {
    /// TrainedModels.
    pub(super) dir: PathBuf,
    folder: TempDir,
    /// Of model.pth in the folder.
    path: PathBuf,
    file: Arc<File>,
    pth: PthWriter<FingerprintedFile>,
    /// Bytes at the start of the file that will not be touched again.
    num_final: u64,
    /// Has been fed with the first bytes of the file.
    hasher: Sha256,
    num_hashed: u64,
}

impl Draft {
    /// Writes `backbone`, every tensor of [`resnet::tensor_specs`] but the head's, into a folder below
    /// `dir`.
    ///
    /// # Errors
    /// [`Error::Io`] with the path; [`Error::Stopped`]; why a tensor cannot be read.
    pub fn begin(dir: &Path, backbone: &dyn TensorSource, num_classes: usize) -> Result<Self> {
        let folder = links::new_folder(&dir.join(RUNS_DIR))?;
        let path = folder.path().join(MODEL_FILE);
        let file = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)
            .map_err(Error::io(Action::Create, &path))?;
        let file = Arc::new(file);
        let write_error = |error| Error::io(Action::Write, &path)(error);
        let specs = resnet::tensor_specs(num_classes);
        let sink = FingerprintedFile::new(Arc::clone(&file));
        let mut pth = PthWriter::begin(sink, specs).map_err(write_error)?;
        let mut num_final = 0;
        let mut piece = vec![0; PIECE];
        for TensorSpec { name, .. } in resnet::backbone_specs() {
            signals::check()?;
            // Without it the next one is not what was announced.
            let Some(mut tensor) = backbone.open(&name)? else { continue };
            num_final = (&*file).stream_position().map_err(write_error)?;
            pth.start(&name, tensor.dtype, &tensor.shape, tensor.num_left())
                .map_err(write_error)?;
            while tensor.num_left() > 0 {
                let piece = &mut piece[..tensor.num_left().min(PIECE)];
                tensor.read(piece)?;
                pth.write(piece).map_err(write_error)?;
            }
        }
        backbone.require_unchanged()?;
        let (dir, hasher) = (dir.to_path_buf(), Sha256::new());
        Ok(Draft { dir, folder, path, file, pth, num_final, hasher, num_hashed: 0 })
    }

    /// Hashes what is there on the calling thread, unless `digests` know it, and has the disk take it as soon as
    /// `may_sync` returns `true`, on another. So little is left to do for [`publish`](super::publish).
    ///
    /// # Errors
    /// As [`Draft::begin`].
    pub fn settle(
        &mut self,
        digests: &KnownDigests,
        may_sync: impl FnOnce() -> bool + Send,
    ) -> Result<()> {
        let fingerprint = self.pth.sink().map(FingerprintedFile::fingerprint).unwrap_or_default();
        if let Some(hasher) = digests.of_beginning(&fingerprint, self.num_final) {
            (self.hasher, self.num_hashed) = (hasher, self.num_final);
        }
        let range = self.num_hashed..self.num_final;
        let is_new = !range.is_empty();
        hash_and_sync(&mut self.hasher, &self.file, &self.path, range, may_sync)?;
        self.num_hashed = self.num_final;
        if is_new {
            digests.remember_beginning(fingerprint, self.num_final, &self.hasher);
        }
        Ok(())
    }

    /// Adds the head. The file is on disk when this returns; gives the folder and the SHA-256 of
    /// model.pth as 64 lowercase hex digits.
    ///
    /// # Errors
    /// As [`Draft::begin`].
    pub(super) fn finish(self, head: &Head) -> Result<(TempDir, String)> {
        let Draft { folder, path, file, mut pth, mut hasher, num_hashed, .. } = self;
        let mut tensors = StateDict::new();
        head.write_to(&mut tensors);
        let num_bytes = tensors
            .iter()
            .try_for_each(|(name, tensor)| pth.put(name, tensor))
            .and_then(|()| pth.finish())
            .and_then(|()| (&*file).seek(SeekFrom::End(0)))
            .map_err(Error::io(Action::Write, &path))?;
        hash_and_sync(&mut hasher, &file, &path, num_hashed..num_bytes, || true)?;
        Ok((folder, digest::hex(hasher)))
    }
}

/// Feeds bytes of `file`, which lies at `path`, to `hasher`. Syncs it on a thread that waits for `may_sync`.
fn hash_and_sync(
    hasher: &mut Sha256,
    file: &File,
    path: &Path,
    range: Range<u64>,
    may_sync: impl FnOnce() -> bool + Send,
) -> Result<()> {
    let (synced, hashed) = thread::scope(|scope| {
        let synced = scope.spawn(|| if may_sync() { file.sync_all() } else { Ok(()) });
        let hashed = digest::absorb_range(hasher, path, range);
        (synced.join(), hashed)
    });
    let synced = synced.unwrap_or_else(|_| Err(io::Error::other("syncing panicked")));
    synced.map_err(Error::io(Action::Write, path))?;
    hashed
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::model::state_dict::{StoredDict, TensorData};

    fn backbone() -> StateDict {
        let specs = resnet::tensor_specs(3).into_iter().filter(|it| !it.name.starts_with("fc."));
        let tensors = specs.map(|spec| {
            let num_bytes = spec.shape.iter().product::<usize>() * spec.dtype.size_bytes();
            let bytes = (0..num_bytes).map(|byte| (byte % 251) as u8).collect();
            (spec.name, TensorData { dtype: spec.dtype, shape: spec.shape, bytes })
        });
        tensors.collect()
    }

    #[test]
    fn a_finished_draft_is_the_file_of_all_tensors_and_its_hash() {
        let dir = tempfile::tempdir().unwrap();
        let head = Head { weight: vec![0.5; 3 * 2048], bias: vec![1.0, 2.0, 3.0] };
        let mut whole = backbone();
        head.write_to(&mut whole);
        let mut expected = io::Cursor::new(Vec::new());
        whole.save_pth(&mut expected).unwrap();
        let expected = expected.into_inner();
        let digests = KnownDigests::open(&dir.path().join("digests.json"));
        let backbone = backbone();
        let stored = dir.path().join("backbone.pth");
        backbone.save_pth(&mut File::create(&stored).unwrap()).unwrap();
        let stored = StoredDict::open(&stored, |_| true).unwrap();
        let sources: [(&dyn TensorSource, bool); 4] =
            [(&backbone, false), (&stored, false), (&backbone, true), (&stored, true)];
        // The last time its beginning is known.
        for (source, is_settled) in sources {
            let mut draft = Draft::begin(dir.path(), source, 3).unwrap();
            if is_settled {
                draft.settle(&digests, || true).unwrap();
            }
            let (folder, sha256) = draft.finish(&head).unwrap();
            let path = folder.path().join(MODEL_FILE);
            assert_eq!(digest::of_file(&path).unwrap().0, sha256);
            assert!(fs::read(&path).unwrap() == expected);
        }
    }

    #[test]
    fn nothing_is_left_of_a_draft_that_is_given_up() {
        let dir = tempfile::tempdir().unwrap();
        let runs_dir = dir.path().join(RUNS_DIR);
        let draft = Draft::begin(dir.path(), &backbone(), 3).unwrap();
        assert_eq!(fs::read_dir(&runs_dir).unwrap().count(), 1);
        drop(draft);
        assert_eq!(fs::read_dir(&runs_dir).unwrap().count(), 0);
        let mut lacking = backbone();
        lacking.remove("layer4.2.conv3.weight");
        let error = Draft::begin(dir.path(), &lacking, 3).unwrap_err();
        assert!(error.to_string().contains(MODEL_FILE), "{error}");
        assert_eq!(fs::read_dir(&runs_dir).unwrap().count(), 0);
    }
}
