//! One face for all engines.

use super::engine::Engine;
use super::shared::SharedNetwork;
use super::{Precision, libtorch_engines, simd};
use crate::error::Result;
use crate::model::state_dict::TensorSource;

/// ResNet50 without its head, as an engine wants its weights.
#[derive(Debug)]
pub struct Backbone {
    engine: Engine,
    network: Box<dyn SharedNetwork>,
}

/// A handle on the weights with the buffers that one thread needs.
#[derive(Debug)]
pub struct Worker(Box<dyn SharedNetwork>);

impl Backbone {
    /// Folds and packs the weights for batches of at most `batch` images. `tensors` are those of
    /// [`crate::model::resnet::tensor_specs`].
    ///
    /// # Errors
    /// When a tensor is missing or cannot be read, or libtorch fails, as it does without memory, or is needed
    /// and not linked.
    pub fn new(engine: Engine, tensors: &dyn TensorSource, batch: usize) -> Result<Self> {
        let network = match engine {
            Engine::Simd(isa) => simd::network(isa, tensors)?,
            #[cfg(all(feature = "native", target_arch = "x86_64"))]
            Engine::SimdInt16(int16) => simd::network(int16, tensors)?,
            #[cfg(all(feature = "native", target_arch = "x86_64"))]
            Engine::SimdBf16(bf16) => simd::network(bf16, tensors)?,
            #[cfg(all(feature = "native", target_arch = "x86_64"))]
            Engine::Amx(amx) => simd::network(amx, tensors)?,
            Engine::OnednnBf16 => {
                libtorch_engines::fused(&*tensors.all()?, Precision::Bf16, batch)?
            }
            Engine::OnednnFp32 => {
                libtorch_engines::fused(&*tensors.all()?, Precision::Fp32, batch)?
            }
            Engine::Libtorch => libtorch_engines::plain(&*tensors.all()?, batch)?,
        };
        Ok(Backbone { engine, network })
    }

    /// What computes.
    pub fn engine(&self) -> Engine {
        self.engine
    }

    /// What another thread needs to compute; the weights are shared.
    pub fn worker(&self) -> Worker {
        Worker(self.network.share())
    }
}

impl Worker {
    /// Writes the pooled features, `[N, 2048]` f32, of normalized pixels, `[N, 224, 224, 3]` f32, on
    /// the calling thread alone. The features of an image are the same bits whatever N is and
    /// whichever images are beside it.
    ///
    /// # Errors
    /// When libtorch fails, as it does without memory.
    pub fn forward(&mut self, pixels: &[f32], features: &mut [f32]) -> Result<()> {
        self.forward_with_cut(pixels, features, None)
    }

    /// The same, and writes layer4's input to `cut`, `[N, 14, 14, 1024]` in the bits of bf16.
    ///
    /// # Errors
    /// As [`Worker::forward`].
    pub fn forward_with_cut(
        &mut self,
        pixels: &[f32],
        features: &mut [f32],
        cut: Option<&mut [u16]>,
    ) -> Result<()> {
        self.0.forward(pixels, features, cut)
    }
}
