//! One face for all engines.

use super::Precision;
use super::engine::Engine;
use super::libtorch_engines::{self, LibtorchNetwork};
use super::simd::{Scratch, SimdBackbone};
use crate::error::Result;
use crate::kernels::isa::Isa;
#[cfg(all(feature = "native", target_arch = "x86_64"))]
use crate::kernels::{amx::Amx, bf16::Bf16, int16::Int16};
use crate::model::state_dict::StateDict;

/// ResNet50 without its head, as an engine wants its weights.
#[derive(Debug)]
pub struct Backbone {
    engine: Engine,
    weights: Weights,
}

#[derive(Debug)]
enum Weights {
    Simd(SimdBackbone<Isa>),
    #[cfg(all(feature = "native", target_arch = "x86_64"))]
    SimdBf16(SimdBackbone<Bf16>),
    #[cfg(all(feature = "native", target_arch = "x86_64"))]
    Amx(SimdBackbone<Amx>),
    #[cfg(all(feature = "native", target_arch = "x86_64"))]
    SimdInt16(SimdBackbone<Int16>),
    Libtorch(Box<dyn LibtorchNetwork>),
}

/// A handle on the weights with the buffers that one thread needs.
#[derive(Debug)]
pub struct Worker(WorkerWeights);

#[derive(Debug)]
enum WorkerWeights {
    Simd(SimdBackbone<Isa>, Box<Scratch<Isa>>),
    #[cfg(all(feature = "native", target_arch = "x86_64"))]
    SimdBf16(SimdBackbone<Bf16>, Box<Scratch<Bf16>>),
    #[cfg(all(feature = "native", target_arch = "x86_64"))]
    Amx(SimdBackbone<Amx>, Box<Scratch<Amx>>),
    #[cfg(all(feature = "native", target_arch = "x86_64"))]
    SimdInt16(SimdBackbone<Int16>, Box<Scratch<Int16>>),
    Libtorch(Box<dyn LibtorchNetwork>),
}

impl Backbone {
    /// Folds and packs the weights for batches of at most `batch` images. `state_dict` has passed
    /// [`StateDict::check`] against [`crate::model::resnet::tensor_specs`].
    ///
    /// # Errors
    /// When a tensor is missing, or libtorch fails, as it does without memory, or is needed and not linked.
    pub fn new(engine: Engine, state_dict: &StateDict, batch: usize) -> Result<Self> {
        let weights = match engine {
            Engine::Simd(isa) => Weights::Simd(SimdBackbone::new(isa, state_dict)?),
            #[cfg(all(feature = "native", target_arch = "x86_64"))]
            Engine::SimdBf16(bf16) => Weights::SimdBf16(SimdBackbone::new(bf16, state_dict)?),
            #[cfg(all(feature = "native", target_arch = "x86_64"))]
            Engine::Amx(amx) => Weights::Amx(SimdBackbone::new(amx, state_dict)?),
            #[cfg(all(feature = "native", target_arch = "x86_64"))]
            Engine::SimdInt16(int16) => Weights::SimdInt16(SimdBackbone::new(int16, state_dict)?),
            Engine::OnednnBf16 => {
                Weights::Libtorch(libtorch_engines::fused(state_dict, Precision::Bf16, batch)?)
            }
            Engine::OnednnFp32 => {
                Weights::Libtorch(libtorch_engines::fused(state_dict, Precision::Fp32, batch)?)
            }
            Engine::Libtorch => Weights::Libtorch(libtorch_engines::plain(state_dict, batch)?),
        };
        Ok(Backbone { engine, weights })
    }

    /// What computes.
    pub fn engine(&self) -> Engine {
        self.engine
    }

    /// What another thread needs to compute; the weights are shared.
    pub fn worker(&self) -> Worker {
        Worker(match &self.weights {
            Weights::Simd(backbone) => WorkerWeights::Simd(backbone.clone(), Box::default()),
            #[cfg(all(feature = "native", target_arch = "x86_64"))]
            Weights::SimdBf16(backbone) => {
                WorkerWeights::SimdBf16(backbone.clone(), Box::default())
            }
            #[cfg(all(feature = "native", target_arch = "x86_64"))]
            Weights::Amx(backbone) => WorkerWeights::Amx(backbone.clone(), Box::default()),
            #[cfg(all(feature = "native", target_arch = "x86_64"))]
            Weights::SimdInt16(backbone) => {
                WorkerWeights::SimdInt16(backbone.clone(), Box::default())
            }
            Weights::Libtorch(backbone) => WorkerWeights::Libtorch(backbone.share()),
        })
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
        match &mut self.0 {
            WorkerWeights::Simd(backbone, scratch) => {
                backbone.forward(pixels, scratch, features, cut);
                Ok(())
            }
            #[cfg(all(feature = "native", target_arch = "x86_64"))]
            WorkerWeights::SimdBf16(backbone, scratch) => {
                backbone.forward(pixels, scratch, features, cut);
                Ok(())
            }
            #[cfg(all(feature = "native", target_arch = "x86_64"))]
            WorkerWeights::Amx(backbone, scratch) => {
                backbone.forward(pixels, scratch, features, cut);
                Ok(())
            }
            #[cfg(all(feature = "native", target_arch = "x86_64"))]
            WorkerWeights::SimdInt16(backbone, scratch) => {
                backbone.forward(pixels, scratch, features, cut);
                Ok(())
            }
            WorkerWeights::Libtorch(backbone) => backbone.forward(pixels, features, cut),
        }
    }
}
