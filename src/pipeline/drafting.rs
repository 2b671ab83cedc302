//! The model file, begun while features are computed.

use std::cell::RefCell;
use std::path::PathBuf;
use std::thread::{self, JoinHandle};

use crate::artifact::Draft;
use crate::error::{Error, Result};
use crate::model::state_dict::StateDict;
use crate::run::priority;

/// Has a thread write the backbone's part of model.pth as soon as the weights have been read for the
/// features. So these need not be read again, and the disk takes the file meanwhile: that of a virtual machine may
/// need longer for it than the fit takes.
pub(super) struct Drafting {
    model_dir: PathBuf,
    num_classes: usize,
    thread: RefCell<Option<JoinHandle<Result<Draft>>>>,
}

impl Drafting {
    pub(super) fn new(model_dir: PathBuf, num_classes: usize) -> Self {
        Drafting { model_dir, num_classes, thread: RefCell::default() }
    }

    /// Begins the file of a model with this backbone, in place of what was begun before.
    pub(super) fn begin(&self, backbone: StateDict) {
        self.discard();
        let (model_dir, num_classes) = (self.model_dir.clone(), self.num_classes);
        let write = move || {
            let draft = Draft::begin(&model_dir, backbone, num_classes)?;
            // Now that the weights' memory is free again, nothing is in a hurry.
            priority::lower();
            draft.settle()
        };
        match thread::Builder::new().name("draft".into()).spawn(write) {
            Ok(thread) => *self.thread.borrow_mut() = Some(thread),
            Err(error) => log::debug!("the model file is not begun early: {error}"),
        }
    }

    /// What was begun, or a file with the backbone that `load` reads.
    ///
    /// # Errors
    /// As [`Draft::begin`] and [`Draft::settle`]; those of `load`.
    pub(super) fn finish(self, load: impl FnOnce() -> Result<StateDict>) -> Result<Draft> {
        match self.thread.take() {
            Some(thread) => thread
                .join()
                .map_err(|_| Error::Internal("writing the model file panicked".into()))?,
            None => Draft::begin(&self.model_dir, load()?, self.num_classes),
        }
    }

    /// Deletes what was begun.
    fn discard(&self) {
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// Of a run that fails nothing is left.
impl Drop for Drafting {
    fn drop(&mut self) {
        self.discard();
    }
}
