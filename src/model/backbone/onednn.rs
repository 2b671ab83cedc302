//! The backbone on libtorch's fused oneDNN convolutions.
//!
//! Each convolution adds its bias, the residual and clips at zero before its result leaves the
//! registers, and reads weights that were packed once for one batch size.

mod convolution;
mod instructions;
mod support;

use tch::{Kind, Tensor};

use self::convolution::{Geometry, PackedConv};
use super::Precision;
use super::layout::{channels_last, copy_cut};
use super::shared::SharedNetwork;
use super::threads::with_one_thread;
use crate::config::{CROP, NUM_FEATURES};
use crate::error::{Error, Result};
use crate::model::fold::fold;
use crate::model::resnet::{self, BLOCKS_BEFORE_LAYER4, Bottleneck, ConvNorm, LAYER4_INPUT_LEN};
use crate::model::state_dict::StateDict;
use crate::run::heap;

pub use self::support::{Unsupported, check_support, is_supported};

fn kind(precision: Precision) -> Kind {
    match precision {
        Precision::Fp32 => Kind::Float,
        Precision::Bf16 => Kind::BFloat16,
    }
}

/// ResNet50 without its head. Each handle computes on one thread.
///
/// Not `Sync`, as no libtorch tensor is: each worker takes an [`OnednnBackbone::share`] of its own.
#[derive(Debug)]
pub struct OnednnBackbone {
    precision: Precision,
    batch: usize,
    stem: PackedConv,
    blocks: Vec<PackedBottleneck>,
}

impl OnednnBackbone {
    /// Folds the weights and packs them for batches of `batch` images on one thread. `state_dict`
    /// has passed [`StateDict::check`] against [`resnet::tensor_specs`], `precision` has passed
    /// [`check_support`].
    ///
    /// # Errors
    /// When a tensor is missing, when `batch` is 0, or when libtorch refuses the precision.
    pub fn new(state_dict: &StateDict, precision: Precision, batch: usize) -> Result<Self> {
        if batch == 0 {
            return Err(Error::Internal("the backbone was asked for batches of 0 images".into()));
        }
        heap::keep();
        with_one_thread(|| {
            let mut packer = Packer { state_dict, precision, batch, side: i64::from(CROP) };
            let stem = packer.pack(&resnet::stem())?;
            packer.side = halved(packer.side); // the max pooling after the stem
            let blocks = resnet::bottlenecks()
                .iter()
                .map(|block| PackedBottleneck::new(&mut packer, block))
                .collect::<Result<_>>()?;
            Ok(OnednnBackbone { precision, batch, stem, blocks })
        })
    }

    /// Another handle on the same weights, for another thread.
    pub fn share(&self) -> Self {
        OnednnBackbone {
            precision: self.precision,
            batch: self.batch,
            stem: self.stem.share(),
            blocks: self.blocks.iter().map(PackedBottleneck::share).collect(),
        }
    }

    /// Writes the pooled features `[N, 2048]` f32 of normalized pixels, `[N, 224, 224, 3]` f32 in
    /// `pixels`, to `features`.
    ///
    /// N is taken in batches, the last one filled up with zeros at the cost of a whole one, so an
    /// image's features depend neither on N nor on its neighbours, to the bit. `cut` receives layer4's
    /// input, `[N, 14, 14, 1024]` in the bits of bf16.
    ///
    /// # Errors
    /// When a slice's length is not that of whole images, or when libtorch fails, as it does
    /// without memory.
    pub fn forward(
        &self,
        pixels: &[f32],
        features: &mut [f32],
        cut: Option<&mut [u16]>,
    ) -> Result<()> {
        let mut cut = cut.map(|cut| cut.chunks_mut(self.batch * LAYER4_INPUT_LEN));
        let image_len = (CROP * CROP * 3) as usize;
        let num_images = pixels.len() / image_len;
        if pixels.len() != num_images * image_len || features.len() != num_images * NUM_FEATURES {
            return Err(Error::Internal(format!(
                "the backbone got {} pixels and room for {} features",
                pixels.len(),
                features.len()
            )));
        }
        let batches = pixels.chunks(self.batch * image_len);
        let rows = features.chunks_mut(self.batch * NUM_FEATURES);
        with_one_thread(|| {
            batches.zip(rows).try_for_each(|(pixels, rows)| {
                let cut = cut.as_mut().and_then(Iterator::next);
                let features = self.forward_batch(pixels, cut)?; // [batch, 2048]
                let num_rows = (rows.len() / NUM_FEATURES) as i64;
                features.f_narrow(0, 0, num_rows)?.f_copy_data(rows, rows.len())?;
                Ok(())
            })
        })
    }

    /// `[batch, 2048]` f32 of at most `batch` images.
    fn forward_batch(&self, pixels: &[f32], mut cut: Option<&mut [u16]>) -> Result<Tensor> {
        let side = i64::from(CROP);
        let x = Tensor::f_from_slice(pixels)?.f_view([-1, side, side, 3])?;
        let missing = self.batch as i64 - x.size()[0];
        // Of the last dimension first, a pair each: N is the fourth.
        let x = if missing == 0 { x } else { x.f_constant_pad_nd([0, 0, 0, 0, 0, 0, 0, missing])? };
        let x = x.f_to_kind(kind(self.precision))?;
        let x = x.f_permute([0, 3, 1, 2])?; // [batch, 3, 224, 224], channels last
        let x = self.stem.forward_relu(&x)?;
        let mut x = x.f_max_pool2d([3, 3], [2, 2], [1, 1], [1, 1], false)?;
        for (index, block) in self.blocks.iter().enumerate() {
            if index == BLOCKS_BEFORE_LAYER4
                && let Some(cut) = cut.take()
            {
                copy_cut(&x, cut)?;
            }
            x = block.forward(x)?;
        }
        Ok(x.f_mean_dim([2i64, 3].as_slice(), false, Kind::Float)?)
    }
}

impl SharedNetwork for OnednnBackbone {
    fn share(&self) -> Box<dyn SharedNetwork> {
        Box::new(OnednnBackbone::share(self))
    }

    fn forward(
        &mut self,
        pixels: &[f32],
        features: &mut [f32],
        cut: Option<&mut [u16]>,
    ) -> Result<()> {
        OnednnBackbone::forward(self, pixels, features, cut)
    }
}

#[derive(Debug)]
struct PackedBottleneck {
    convs: [PackedConv; 3],
    downsample: Option<PackedConv>,
}

impl PackedBottleneck {
    fn new(packer: &mut Packer, block: &Bottleneck) -> Result<Self> {
        // It reads the block's input: packed before the convolutions move on from that.
        let input_side = packer.side;
        let downsample = block.downsample.as_ref().map(|conv| packer.pack(conv)).transpose()?;
        packer.side = input_side;
        let [conv1, conv2, conv3] = &block.convs;
        let convs = [packer.pack(conv1)?, packer.pack(conv2)?, packer.pack(conv3)?];
        Ok(PackedBottleneck { convs, downsample })
    }

    fn share(&self) -> Self {
        PackedBottleneck {
            convs: self.convs.each_ref().map(PackedConv::share),
            downsample: self.downsample.as_ref().map(PackedConv::share),
        }
    }

    fn forward(&self, x: Tensor) -> Result<Tensor> {
        let [conv1, conv2, conv3] = &self.convs;
        let out = conv1.forward_relu(&x)?;
        let out = conv2.forward_relu(&out)?;
        let residual = match &self.downsample {
            Some(downsample) => downsample.forward(&x)?,
            None => x,
        };
        conv3.forward_add_relu(residual, &out)
    }
}

/// Packs convolutions in the order in which an image meets them.
struct Packer<'a> {
    state_dict: &'a StateDict,
    precision: Precision,
    batch: usize,
    /// Of the next convolution's square input, in pixels.
    side: i64,
}

impl Packer<'_> {
    fn pack(&mut self, conv_norm: &ConvNorm) -> Result<PackedConv> {
        let folded = fold(self.state_dict, conv_norm)?;
        let kind = kind(self.precision);
        let [out_channels, in_channels, kernel, stride, padding] = [
            conv_norm.out_channels,
            conv_norm.in_channels,
            conv_norm.kernel,
            conv_norm.stride,
            conv_norm.padding(),
        ]
        .map(|number| number as i64);
        let weight = Tensor::f_from_slice(&folded.weight)?;
        let weight = weight.f_view([out_channels, in_channels, kernel, kernel])?;
        let weight = channels_last(&weight.f_to_kind(kind)?)?;
        let bias = Tensor::f_from_slice(&folded.bias)?.f_to_kind(kind)?;
        let input = [self.batch as i64, in_channels, self.side, self.side];
        let conv = PackedConv::new(&weight, bias, Geometry { stride, padding }, input)?;
        if stride == 2 {
            self.side = halved(self.side);
        }
        Ok(conv)
    }
}

/// The side of the output of a padded stride of 2.
fn halved(side: i64) -> i64 {
    (side + 1) / 2
}
