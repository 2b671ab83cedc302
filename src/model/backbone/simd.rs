//! The backbone on this program's own kernels.

mod block;
mod convolution;
mod network;
mod padding;
mod rows;
mod stem;
#[cfg(all(feature = "native", target_arch = "x86_64"))]
mod tile_block;

use std::sync::Arc;

use rayon::prelude::*;

use super::shared::SharedNetwork;
use crate::config::{CROP, NUM_FEATURES};
use crate::error::Result;
use crate::kernels::aligned::Aligned;
use crate::kernels::arithmetic::Value;
use crate::kernels::fetch::LINE_LEN;
use crate::kernels::pool::average_pool;
use crate::model::resnet::{self, BLOCKS_BEFORE_LAYER4, LAYER4_CHANNELS};
use crate::model::state_dict::TensorSource;
use network::ResidualBlock;
use stem::Stem;

pub use network::Network;

/// Side of an image.
const SIDE: usize = CROP as usize;
/// Channels of an image.
const RGB: usize = 3;

/// ResNet50 without its head. Cheap to clone: the weights are shared.
#[derive(Debug, Clone)]
pub struct SimdBackbone<A: Network> {
    arithmetic: A,
    layers: Arc<Layers<A>>,
}

#[derive(Debug)]
struct Layers<A: Network> {
    stem: Stem<A>,
    blocks: Vec<A::Block>,
}

/// The activations of a chunk, kept from call to call.
#[derive(Debug)]
pub struct Scratch<A: Network> {
    stem: stem::Scratch<A::Value>,
    /// What enters blocks, of one image or of all.
    input: Aligned<A::Value>,
    /// Of one image.
    image: Activations<A::Value>,
    /// Of all images of the chunk.
    chunk: Activations<A::Value>,
    blocks: <A::Block as ResidualBlock<A>>::Scratch,
}

impl<A: Network> Default for Scratch<A> {
    fn default() -> Self {
        Scratch {
            stem: Default::default(),
            input: Default::default(),
            image: Default::default(),
            chunk: Default::default(),
            blocks: Default::default(),
        }
    }
}

/// `[N, side, side, C]`; each block replaces `values` by its output. Those of `values` and `shortcut` lie
/// [`stride_of`] their channels apart.
#[derive(Debug, Default)]
pub struct Activations<V> {
    values: Aligned<V>,
    /// What a convolution on a shortcut takes.
    shortcut: Aligned<V>,
    reduced: Aligned<V>,
    convolved: Aligned<V>,
}

impl<A: Network> SimdBackbone<A> {
    /// Folds, transforms and packs the weights. `tensors` are those of [`resnet::tensor_specs`].
    ///
    /// # Errors
    /// When a tensor is missing or cannot be read.
    pub fn new(arithmetic: A, tensors: &dyn TensorSource) -> Result<Self> {
        let stem = Stem::new(arithmetic, tensors)?;
        let mut side = SIDE / 4;
        let mut bottlenecks = Vec::new();
        for bottleneck in resnet::bottlenecks() {
            let out_side = side / bottleneck.convs[1].stride;
            bottlenecks.push((bottleneck, side));
            side = out_side;
        }
        let blocks = bottlenecks
            .par_iter()
            // The last few hold most of the weights.
            .with_max_len(1)
            .map(|(bottleneck, side)| A::Block::new(arithmetic, tensors, bottleneck, *side))
            .collect::<Result<_>>()?;
        Ok(SimdBackbone { arithmetic, layers: Arc::new(Layers { stem, blocks }) })
    }

    /// Writes the pooled features, `[N, 2048]` f32, of normalized pixels, `[N, 224, 224, 3]` f32.
    ///
    /// The features of an image are the same bits whatever N is and whichever images are beside it.
    /// `cut` receives layer4's input, `[N, 14, 14, 1024]` in the bits of bf16.
    pub fn forward(
        &self,
        pixels: &[f32],
        scratch: &mut Scratch<A>,
        features: &mut [f32],
        cut: Option<&mut [u16]>,
    ) {
        let Scratch { stem, input, image, chunk, blocks } = scratch;
        let (per_image, per_chunk) = self.layers.blocks.split_at(A::BLOCKS_PER_IMAGE);
        let num_images = features.len() / NUM_FEATURES;
        for (index, pixels) in pixels.chunks_exact(SIDE * SIDE * RGB).enumerate() {
            self.layers.stem.forward(pixels, stem, input);
            per_image[0].enter(input, 0, 1, image);
            A::Block::forward(per_image, image, blocks);
            per_chunk[0].enter(&mut image.values, index, num_images, chunk);
        }
        let mut rest = per_chunk;
        if let Some(cut) = cut {
            let (before, layer4) = per_chunk.split_at(BLOCKS_BEFORE_LAYER4 - A::BLOCKS_PER_IMAGE);
            A::Block::forward(before, chunk, blocks);
            let pixels = chunk.values.chunks_exact(stride_of::<A::Value>(LAYER4_CHANNELS));
            for (pixel, out) in pixels.zip(cut.chunks_exact_mut(LAYER4_CHANNELS)) {
                A::Value::to_bf16(&pixel[..LAYER4_CHANNELS / A::Value::CHANNELS], out);
            }
            std::mem::swap(&mut chunk.values, input);
            layer4[0].enter(input, 0, num_images, chunk);
            rest = layer4;
        }
        A::Block::forward(rest, chunk, blocks);
        let image_len = chunk.values.len() / num_images;
        let images = chunk.values.chunks_exact(image_len);
        for (image, features) in images.zip(features.chunks_exact_mut(NUM_FEATURES)) {
            average_pool(
                self.arithmetic.isa(),
                image,
                stride_of::<A::Value>(NUM_FEATURES),
                features,
            );
        }
    }
}

/// The weights with the buffers of one thread.
#[derive(Debug)]
struct OfThread<A: Network> {
    backbone: SimdBackbone<A>,
    scratch: Scratch<A>,
}

/// As [`SimdBackbone::new`].
pub(super) fn network<A: Network>(
    arithmetic: A,
    tensors: &dyn TensorSource,
) -> Result<Box<dyn SharedNetwork>> {
    let backbone = SimdBackbone::new(arithmetic, tensors)?;
    Ok(Box::new(OfThread { backbone, scratch: Scratch::default() }))
}

impl<A: Network> SharedNetwork for OfThread<A> {
    fn share(&self) -> Box<dyn SharedNetwork> {
        Box::new(OfThread { backbone: self.backbone.clone(), scratch: Scratch::default() })
    }

    fn forward(
        &mut self,
        pixels: &[f32],
        features: &mut [f32],
        cut: Option<&mut [u16]>,
    ) -> Result<()> {
        self.backbone.forward(pixels, &mut self.scratch, features, cut);
        Ok(())
    }
}

/// From a pixel to the next, in values. A cache line more than the channels where these are many:
/// pixels a page apart would compete for the same eight lines of the L1 cache.
fn stride_of<V: Value>(num_channels: usize) -> usize {
    let len = num_channels / V::CHANNELS;
    if len < 256 { len } else { len + LINE_LEN }
}
