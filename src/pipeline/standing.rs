//! The model of before.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use crate::artifact::{self, Metadata};
use crate::error::{Error, Result};
use crate::known_digests::KnownDigests;
use crate::run::priority;

/// The standing model, which a thread hashes where a core has nothing else to do: this takes longer than a run
/// with nothing to compute.
pub(super) struct StandingModel {
    model_dir: PathBuf,
    thread: Option<JoinHandle<Result<Option<Metadata>>>>,
    /// What the thread found.
    metadata: Option<Metadata>,
}

impl StandingModel {
    /// Begins to verify the standing model in `model_dir`.
    ///
    /// # Errors
    /// When there can be no more threads.
    pub(super) fn verify(model_dir: PathBuf, digests: &Arc<KnownDigests>) -> Result<Self> {
        let (dir, digests) = (model_dir.clone(), Arc::clone(digests));
        let load = move || {
            priority::lower();
            artifact::load_standing(&dir, &digests)
        };
        let thread = thread::Builder::new()
            .name("standing".into())
            .spawn(load)
            .map_err(|error| Error::Internal(format!("cannot start a thread: {error}")))?;
        Ok(StandingModel { model_dir, thread: Some(thread), metadata: None })
    }

    /// What its model.json says, if it was made from `inputs` and is whole.
    ///
    /// # Errors
    /// [`Error::Stopped`]
    pub(super) fn of_inputs(&mut self, inputs: &str) -> Result<Option<&Metadata>> {
        let is_of = |metadata: &Metadata| metadata.inputs.as_deref() == Some(inputs);
        // Others need not be waited for.
        if !artifact::load_metadata(&self.model_dir).is_ok_and(|metadata| is_of(&metadata)) {
            return Ok(None);
        }
        Ok(self.metadata()?.filter(|metadata| is_of(metadata)))
    }

    /// What its model.json says, if it is whole.
    ///
    /// # Errors
    /// [`Error::Stopped`]
    pub(super) fn metadata(&mut self) -> Result<Option<&Metadata>> {
        if let Some(thread) = self.thread.take() {
            let found = thread.join();
            self.metadata =
                found.map_err(|_| Error::Internal("hashing the model panicked".into()))??;
        }
        Ok(self.metadata.as_ref())
    }
}
