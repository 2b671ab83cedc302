//! What every engine makes of the weights.

use std::fmt::Debug;

use crate::error::Result;

/// ResNet50 without its head: weights that threads share, with the buffers of one. Not `Sync`, as no
/// libtorch tensor is.
pub trait SharedNetwork: Debug + Send {
    /// Another handle on the same weights, for another thread.
    fn share(&self) -> Box<dyn SharedNetwork>;

    /// As [`Worker::forward_with_cut`](super::Worker::forward_with_cut).
    ///
    /// # Errors
    /// When libtorch fails, as it does without memory.
    fn forward(
        &mut self,
        pixels: &[f32],
        features: &mut [f32],
        cut: Option<&mut [u16]>,
    ) -> Result<()>;
}
