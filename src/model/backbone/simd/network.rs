//! Which blocks a network consists of.

use std::fmt::Debug;

use super::Activations;
use super::block::Block;
#[cfg(all(feature = "native", target_arch = "x86_64"))]
use super::tile_block::TileBlock;
use crate::error::Result;
use crate::kernels::aligned::Aligned;
#[cfg(all(feature = "native", target_arch = "x86_64"))]
use crate::kernels::amx::Amx;
use crate::kernels::arithmetic::Arithmetic;
#[cfg(all(feature = "native", target_arch = "x86_64"))]
use crate::kernels::bf16::Bf16;
#[cfg(all(feature = "native", target_arch = "x86_64"))]
use crate::kernels::int16::Int16;
use crate::kernels::isa::Isa;
use crate::model::resnet::Bottleneck;
use crate::model::state_dict::TensorSource;

/// What a network is computed with.
pub trait Network: Arithmetic + 'static {
    /// How its bottlenecks are computed.
    type Block: ResidualBlock<Self>;

    /// Blocks, of 16, that take one image at a time, so that its activations stay in the cache. Later
    /// ones take all images of a chunk, so that each of their weights is read once for many pixels.
    const BLOCKS_PER_IMAGE: usize = 7;
}

impl Network for Isa {
    type Block = Block<Isa>;
}

#[cfg(all(feature = "native", target_arch = "x86_64"))]
impl Network for Bf16 {
    type Block = Block<Bf16>;
}

#[cfg(all(feature = "native", target_arch = "x86_64"))]
impl Network for Int16 {
    type Block = Block<Int16>;

    /// Its weights are half as long as in f32, where eight blocks take 1 to 2 % longer than seven.
    const BLOCKS_PER_IMAGE: usize = 8;
}

#[cfg(all(feature = "native", target_arch = "x86_64"))]
impl Network for Amx {
    type Block = TileBlock;
}

/// A bottleneck for images of a given size.
pub trait ResidualBlock<A: Arithmetic>: Debug + Sized + Send + Sync {
    /// Buffers that are reused from call to call.
    type Scratch: Debug + Default + Send;

    /// Folds and packs the weights of `block` for images of `side` pixels a side.
    ///
    /// # Errors
    /// When a tensor is missing.
    fn new(
        arithmetic: A,
        tensors: &dyn TensorSource,
        block: &Bottleneck,
        side: usize,
    ) -> Result<Self>;

    /// Brings the input of some images, `[N, side, side, C]` where `first` are before them and `num_images`
    /// in all, to where [`ResidualBlock::forward`] takes it from. What `input` holds then does not matter.
    fn enter(
        &self,
        input: &mut Aligned<A::Value>,
        first: usize,
        num_images: usize,
        x: &mut Activations<A::Value>,
    );

    /// Takes what has entered the first of the blocks through all of them, which follow each other.
    fn forward(blocks: &[Self], x: &mut Activations<A::Value>, scratch: &mut Self::Scratch);
}
