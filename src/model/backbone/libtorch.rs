//! The backbone on libtorch's own convolutions, for the CPUs that no other engine supports.
//!
//! Activations and weights are kept channels-last, oneDNN's fastest layout, which libtorch
//! recognizes by the strides.

use tch::{Kind, Tensor};

use super::layout::{channels_last, copy_cut};
use super::shared::SharedNetwork;
use super::threads::with_one_thread;
use crate::config::{CROP, NUM_FEATURES};
use crate::error::Result;
use crate::model::fold::fold;
use crate::model::residual;
use crate::model::resnet::{self, BLOCKS_BEFORE_LAYER4, Bottleneck, ConvNorm, LAYER4_INPUT_LEN};
use crate::model::state_dict::StateDict;

/// ResNet50 without its head.
///
/// Not `Sync`, as no libtorch tensor is: each worker takes a [`LibtorchBackbone::share`] of its own.
#[derive(Debug)]
pub struct LibtorchBackbone {
    batch: usize,
    stem: FoldedConv,
    blocks: Vec<FoldedBottleneck>,
}

impl LibtorchBackbone {
    /// Folds the weights, to compute in batches of `batch` images. `state_dict` has passed [`StateDict::check`] against
    /// [`resnet::tensor_specs`].
    ///
    /// # Errors
    /// When a tensor is missing or libtorch refuses one.
    pub fn new(state_dict: &StateDict, batch: usize) -> Result<Self> {
        let stem = FoldedConv::new(state_dict, &resnet::stem())?;
        let blocks = resnet::bottlenecks()
            .iter()
            .map(|block| FoldedBottleneck::new(state_dict, block))
            .collect::<Result<_>>()?;
        Ok(LibtorchBackbone { batch, stem, blocks })
    }

    /// Another handle on the same weights, for another thread.
    pub fn share(&self) -> Self {
        let blocks = self.blocks.iter().map(FoldedBottleneck::share).collect();
        LibtorchBackbone { batch: self.batch, stem: self.stem.share(), blocks }
    }

    /// Pooled features `[N, 2048]` of `images`, `[N, 3, 224, 224]` f32, normalized, of any N: for
    /// tracing. Those of a batch may differ in the last bits from those of [`LibtorchBackbone::forward`].
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn features(&self, images: &Tensor) -> Result<Tensor, tch::TchError> {
        self.features_with_cut(images, |_| Ok(()))
    }

    /// Hands layer4's input, `[N, 1024, 14, 14]`, to `on_cut` on the way.
    fn features_with_cut(
        &self,
        images: &Tensor,
        on_cut: impl FnOnce(&Tensor) -> Result<(), tch::TchError>,
    ) -> Result<Tensor, tch::TchError> {
        let x = self.stem.forward(images)?.f_relu_()?;
        let mut x = x.f_max_pool2d([3, 3], [2, 2], [1, 1], [1, 1], false)?;
        let (before, layer4) = self.blocks.split_at(BLOCKS_BEFORE_LAYER4);
        for block in before {
            x = block.forward(&x)?;
        }
        on_cut(&x)?;
        for block in layer4 {
            x = block.forward(&x)?;
        }
        x.f_mean_dim([2i64, 3].as_slice(), false, Kind::Float) // [N, 2048]
    }

    /// Writes the pooled features `[N, 2048]` f32 of normalized pixels, `[N, 224, 224, 3]` f32 in
    /// `pixels`, to `features`.
    ///
    /// Every batch is of the same size, the last one filled up with zeros, since libtorch may sum in
    /// another order for another size. `cut` receives layer4's input, `[N, 14, 14, 1024]` in the bits of
    /// bf16.
    ///
    /// # Errors
    /// When libtorch fails, as it does without memory.
    pub fn forward(
        &self,
        pixels: &[f32],
        features: &mut [f32],
        cut: Option<&mut [u16]>,
    ) -> Result<()> {
        let mut cut = cut.map(|cut| cut.chunks_mut(self.batch * LAYER4_INPUT_LEN));
        let side = i64::from(CROP);
        let image_len = (CROP * CROP * 3) as usize;
        let batches = pixels.chunks(self.batch * image_len);
        with_one_thread(|| {
            for (pixels, rows) in batches.zip(features.chunks_mut(self.batch * NUM_FEATURES)) {
                let x = Tensor::f_from_slice(pixels)?.f_view([-1, side, side, 3])?;
                let missing = self.batch as i64 - x.size()[0];
                // Of the last dimension first, a pair each: N is the fourth.
                let x = x.f_constant_pad_nd([0, 0, 0, 0, 0, 0, 0, missing])?;
                let x = x.f_permute([0, 3, 1, 2])?; // [batch, 3, 224, 224], channels last
                let cut = cut.as_mut().and_then(Iterator::next);
                let x =
                    self.features_with_cut(&x, |x| cut.map_or(Ok(()), |cut| copy_cut(x, cut)))?;
                let x = x.f_narrow(0, 0, (rows.len() / NUM_FEATURES) as i64)?;
                x.f_copy_data(rows, rows.len())?;
            }
            Ok(())
        })
    }
}

impl SharedNetwork for LibtorchBackbone {
    fn share(&self) -> Box<dyn SharedNetwork> {
        Box::new(LibtorchBackbone::share(self))
    }

    fn forward(
        &mut self,
        pixels: &[f32],
        features: &mut [f32],
        cut: Option<&mut [u16]>,
    ) -> Result<()> {
        LibtorchBackbone::forward(self, pixels, features, cut)
    }
}

#[derive(Debug)]
struct FoldedBottleneck {
    convs: [FoldedConv; 3],
    downsample: Option<FoldedConv>,
}

impl FoldedBottleneck {
    fn new(state_dict: &StateDict, block: &Bottleneck) -> Result<Self> {
        let [conv1, conv2, conv3] = &block.convs;
        Ok(FoldedBottleneck {
            convs: [
                FoldedConv::new(state_dict, conv1)?,
                FoldedConv::new(state_dict, conv2)?,
                FoldedConv::new(state_dict, conv3)?,
            ],
            downsample: block
                .downsample
                .as_ref()
                .map(|conv| FoldedConv::new(state_dict, conv))
                .transpose()?,
        })
    }

    fn share(&self) -> Self {
        FoldedBottleneck {
            convs: self.convs.each_ref().map(FoldedConv::share),
            downsample: self.downsample.as_ref().map(FoldedConv::share),
        }
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor, tch::TchError> {
        residual::forward(&self.convs, self.downsample.as_ref(), x, FoldedConv::forward)
    }
}

/// A convolution with the norm after it folded in.
#[derive(Debug)]
struct FoldedConv {
    /// `[out, in, kernel, kernel]` f32, channels last.
    weight: Tensor,
    /// `[out]` f32.
    bias: Tensor,
    stride: i64,
    padding: i64,
}

impl FoldedConv {
    fn new(state_dict: &StateDict, conv_norm: &ConvNorm) -> Result<Self> {
        let folded = fold(state_dict, conv_norm)?;
        let kernel = conv_norm.kernel as i64;
        let shape = [conv_norm.out_channels as i64, conv_norm.in_channels as i64, kernel, kernel];
        let weight = Tensor::f_from_slice(&folded.weight)?.f_view(shape)?;
        Ok(FoldedConv {
            weight: channels_last(&weight)?,
            bias: Tensor::f_from_slice(&folded.bias)?,
            stride: conv_norm.stride as i64,
            padding: conv_norm.padding() as i64,
        })
    }

    fn share(&self) -> Self {
        FoldedConv {
            weight: self.weight.shallow_clone(),
            bias: self.bias.shallow_clone(),
            stride: self.stride,
            padding: self.padding,
        }
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor, tch::TchError> {
        let (stride, padding) = ([self.stride; 2], [self.padding; 2]);
        x.f_conv2d(&self.weight, Some(&self.bias), stride, padding, [1, 1], 1)
    }
}
