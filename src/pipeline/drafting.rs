//! The model file, begun while features are computed.

use std::cell::RefCell;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::thread::{self, JoinHandle};

use crate::artifact::Draft;
use crate::error::{Error, Result};
use crate::known_digests::KnownDigests;
use crate::model::state_dict::{StateDict, TensorSource};
use crate::run::priority;

/// Has a thread write the backbone's part of model.pth as soon as the weights have been read for the
/// features: they are then still in the operating system's memory.
pub(super) struct Drafting {
    model_dir: PathBuf,
    num_classes: usize,
    digests: Arc<KnownDigests>,
    begun: RefCell<Option<Begun>>,
}

/// A thread that ends when it has synced the draft, or when [`Begun::go`] is dropped.
struct Begun {
    thread: JoinHandle<Result<Draft>>,
    go: Sender<()>,
}

impl Drafting {
    pub(super) fn new(model_dir: PathBuf, num_classes: usize, digests: Arc<KnownDigests>) -> Self {
        Drafting { model_dir, num_classes, digests, begun: RefCell::default() }
    }

    /// Begins the file of a model with this backbone, in place of what was begun before.
    pub(super) fn begin(&self, backbone: Box<dyn TensorSource>) {
        self.discard();
        let (model_dir, num_classes) = (self.model_dir.clone(), self.num_classes);
        let digests = Arc::clone(&self.digests);
        let (go, may_sync) = mpsc::channel();
        let write = move || {
            let mut draft = Draft::begin(&model_dir, &*backbone, num_classes)?;
            drop(backbone);
            // The disk can take it as soon as it may; the hash is in no hurry.
            priority::lower();
            draft.settle(&digests, move || may_sync.recv().is_ok())?;
            Ok(draft)
        };
        match thread::Builder::new().name("draft".into()).spawn(write) {
            Ok(thread) => *self.begun.borrow_mut() = Some(Begun { thread, go }),
            Err(error) => log::debug!("the model file is not begun early: {error}"),
        }
    }

    /// Has the disk take what was begun, which may last longer than a fit. Until then the features have it for
    /// themselves: what is synced meanwhile would wait for 98 MB.
    pub(super) fn sync(&self) {
        if let Some(Begun { go, .. }) = &*self.begun.borrow() {
            // A thread that has failed is told nothing.
            let _ = go.send(());
        }
    }

    /// What was begun, or a file with the backbone that `load` reads.
    ///
    /// # Errors
    /// As [`Draft::begin`]; those of `load`.
    pub(super) fn finish(self, load: impl FnOnce() -> Result<StateDict>) -> Result<Draft> {
        match self.begun.take() {
            Some(begun) => begun.end(),
            None => Draft::begin(&self.model_dir, &load()?, self.num_classes),
        }
    }

    /// Deletes what was begun.
    fn discard(&self) {
        drop(self.begun.take().map(Begun::end));
    }
}

impl Begun {
    fn end(self) -> Result<Draft> {
        drop(self.go);
        let ended = self.thread.join();
        ended.map_err(|_| Error::Internal("writing the model file panicked".into()))?
    }
}

/// Of a run that fails nothing is left.
impl Drop for Drafting {
    fn drop(&mut self) {
        self.discard();
    }
}
