//! One face for all engines.

use super::engine::Engine;
#[cfg(feature = "torch")]
use super::libtorch::LibtorchBackbone;
#[cfg(feature = "torch")]
use super::onednn::{OnednnBackbone, Precision};
use super::simd::{Scratch, SimdBackbone};
use crate::error::Result;
use crate::model::state_dict::StateDict;

/// ResNet50 without its head, as an engine wants its weights.
#[derive(Debug)]
pub struct Backbone {
    engine: Engine,
    weights: Weights,
}

#[derive(Debug)]
enum Weights {
    Simd(SimdBackbone),
    #[cfg(feature = "torch")]
    Onednn(OnednnBackbone),
    #[cfg(feature = "torch")]
    Libtorch(LibtorchBackbone),
}

/// A handle on the weights with the buffers that one thread needs.
#[derive(Debug)]
pub struct Worker {
    weights: Weights,
    scratch: Scratch,
}

impl Backbone {
    /// Folds and packs the weights for batches of at most `batch` images. `state_dict` has passed
    /// [`StateDict::check`] against [`crate::model::resnet::tensor_specs`].
    ///
    /// # Errors
    /// When a tensor is missing, or libtorch fails, as it does without memory.
    pub fn new(engine: Engine, state_dict: &StateDict, batch: usize) -> Result<Self> {
        // The other engines have weights for one size of batch.
        let _ = batch;
        let weights = match engine {
            Engine::Simd(isa) => Weights::Simd(SimdBackbone::new(isa, state_dict)?),
            #[cfg(feature = "torch")]
            Engine::OnednnBf16 => {
                Weights::Onednn(OnednnBackbone::new(state_dict, Precision::Bf16, batch)?)
            }
            #[cfg(feature = "torch")]
            Engine::OnednnFp32 => {
                Weights::Onednn(OnednnBackbone::new(state_dict, Precision::Fp32, batch)?)
            }
            #[cfg(feature = "torch")]
            Engine::Libtorch => Weights::Libtorch(LibtorchBackbone::new(state_dict, batch)?),
        };
        Ok(Backbone { engine, weights })
    }

    /// What computes.
    pub fn engine(&self) -> Engine {
        self.engine
    }

    /// What another thread needs to compute; the weights are shared.
    pub fn worker(&self) -> Worker {
        let weights = match &self.weights {
            Weights::Simd(backbone) => Weights::Simd(backbone.clone()),
            #[cfg(feature = "torch")]
            Weights::Onednn(backbone) => Weights::Onednn(backbone.share()),
            #[cfg(feature = "torch")]
            Weights::Libtorch(backbone) => Weights::Libtorch(backbone.share()),
        };
        Worker { weights, scratch: Scratch::default() }
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
        match &self.weights {
            Weights::Simd(backbone) => {
                backbone.forward(pixels, &mut self.scratch, features);
                Ok(())
            }
            #[cfg(feature = "torch")]
            Weights::Onednn(backbone) => backbone.forward(pixels, features),
            #[cfg(feature = "torch")]
            Weights::Libtorch(backbone) => backbone.forward(pixels, features),
        }
    }
}
