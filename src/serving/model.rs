//! The seam between HTTP and what computes.

use std::sync::Arc;

use crate::error::Result;
use crate::serving::wire::ModelDescription;

/// A model that is being served.
pub trait Model: Send + Sync {
    /// What replies say about it.
    fn info(&self) -> &Arc<ModelInfo>;

    /// What a thread needs to compute; the weights are shared.
    fn worker(&self) -> Box<dyn Worker>;
}

/// Computes a chunk of images at a time, on the calling thread alone.
pub trait Worker {
    /// Takes the next image of the chunk; what is wrong with an image that is used all the same.
    ///
    /// # Errors
    /// Why the image cannot be used. The chunk stays as it was.
    fn push(&mut self, image: &[u8]) -> Result<Option<String>, String>;

    /// Logits `[C]` of each image that was taken, in their order. The chunk is empty afterwards.
    ///
    /// # Errors
    /// When the model fails; no image is to blame.
    fn compute(&mut self) -> Result<Vec<Vec<f32>>>;
}

/// What a reply says about the model that gave it.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelInfo {
    /// As in a verbose reply.
    pub description: ModelDescription,
    /// In the order of the logits.
    pub class_names: Vec<String>,
}
