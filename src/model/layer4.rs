//! `layer4` with the head, for training on its input.
//!
//! Batch norm keeps its running statistics: those of a few images would differ from step to step, and
//! from what the saved network computes with. Its scale and shift are trained. It is not folded into the
//! weights here: these are larger than the activations of a mini-batch, and would have to be
//! multiplied anew in every step.

use tch::{Kind, TchError, Tensor};

use super::backbone::channels_last;
use super::fold::NORM_EPSILON;
use super::head::Head;
use super::residual;
use super::resnet::{self, BLOCKS_BEFORE_LAYER4, LAYER4_CHANNELS, LAYER4_SIDE};
use super::state_dict::{StateDict, TensorData};
use crate::error::{Error, Result};

/// Trainable parameters in f32. Not `Sync`, as no libtorch tensor is.
#[derive(Debug)]
pub struct Layer4 {
    blocks: Vec<Bottleneck>,
    /// `[C, 2048]`
    fc_weight: Tensor,
    /// `[C]`
    fc_bias: Tensor,
}

#[derive(Debug)]
struct Bottleneck {
    convs: [ConvNorm; 3],
    downsample: Option<ConvNorm>,
}

/// A convolution with the norm after it.
#[derive(Debug)]
struct ConvNorm {
    names: resnet::ConvNorm,
    /// `[out, in, kernel, kernel]`, channels last.
    weight: Tensor,
    /// The norm's `weight` and `bias`, `[out]`.
    scale: Tensor,
    shift: Tensor,
    /// Constants, `[out]`.
    mean: Tensor,
    variance: Tensor,
}

impl Layer4 {
    /// Reads layer4's tensors. `state_dict` has passed [`StateDict::check`] against
    /// [`resnet::tensor_specs`].
    ///
    /// # Errors
    /// When a tensor is missing, or libtorch fails.
    pub fn new(state_dict: &StateDict, head: &Head) -> Result<Self> {
        let num_classes = head.num_classes() as i64;
        let blocks = resnet::bottlenecks()
            .into_iter()
            .skip(BLOCKS_BEFORE_LAYER4)
            .map(|block| Bottleneck::new(state_dict, block))
            .collect::<Result<_>>()?;
        let fc_weight = Tensor::f_from_slice(&head.weight)?.f_view([num_classes, -1])?;
        Ok(Layer4 {
            blocks,
            fc_weight: fc_weight.f_set_requires_grad(true)?,
            fc_bias: Tensor::f_from_slice(&head.bias)?.f_set_requires_grad(true)?,
        })
    }

    /// The trainable parameters by torchvision's names, in its order; those of the head are the last
    /// two.
    pub fn parameters(&self) -> Vec<(String, Tensor)> {
        let mut parameters = Vec::new();
        for conv in self.blocks.iter().flat_map(Bottleneck::conv_norms) {
            let resnet::ConvNorm { conv: name, norm, .. } = &conv.names;
            parameters.push((format!("{name}.weight"), conv.weight.shallow_clone()));
            parameters.push((format!("{norm}.weight"), conv.scale.shallow_clone()));
            parameters.push((format!("{norm}.bias"), conv.shift.shallow_clone()));
        }
        parameters.push(("fc.weight".into(), self.fc_weight.shallow_clone()));
        parameters.push(("fc.bias".into(), self.fc_bias.shallow_clone()));
        parameters
    }

    /// Logits `[B, C]` of layer4's input `[B, 1024, H, W]`, channels last.
    ///
    /// # Errors
    /// When libtorch fails, as it does without memory.
    pub fn logits(&self, x: &Tensor) -> Result<Tensor> {
        let mut x = x.shallow_clone();
        for block in &self.blocks {
            x = block.forward(&x)?;
        }
        let features = x.f_mean_dim([2i64, 3].as_slice(), false, Kind::Float)?; // [B, 2048]
        Ok(features.f_linear(&self.fc_weight, Some(&self.fc_bias))?)
    }
}

/// Layer4's input, `[B, 1024, 14, 14]` f32 and channels last, of the bits of bf16 in
/// `[B, 14, 14, 1024]`.
///
/// # Errors
/// When libtorch fails, as it does without memory.
pub fn input(bits: &[u16]) -> Result<Tensor> {
    let bits: Vec<i16> = bits.iter().map(|bits| bits.cast_signed()).collect();
    let (side, channels) = (LAYER4_SIDE as i64, LAYER4_CHANNELS as i64);
    let x = Tensor::f_from_slice(&bits)?.f_view_dtype(Kind::BFloat16)?.f_to_kind(Kind::Float)?;
    Ok(x.f_view([-1, side, side, channels])?.f_permute([0, 3, 1, 2])?)
}

/// The elements of a parameter in the order of its dimensions.
///
/// # Errors
/// When libtorch fails.
pub fn to_vec(parameter: &Tensor) -> Result<Vec<f32>> {
    let mut values = vec![0.0; parameter.numel()];
    parameter.f_detach()?.f_contiguous()?.f_copy_data(&mut values, parameter.numel())?;
    Ok(values)
}

/// Overwrites a parameter by elements in the order of its dimensions.
///
/// # Errors
/// When libtorch fails.
pub fn set(parameter: &Tensor, values: &[f32]) -> Result<()> {
    let values = Tensor::f_from_slice(values)?.f_view(parameter.size().as_slice())?;
    tch::no_grad(|| parameter.shallow_clone().f_copy_(&values))?;
    Ok(())
}

/// A parameter as it stands in a state dict.
///
/// # Errors
/// When libtorch fails.
pub fn to_tensor_data(parameter: &Tensor) -> Result<TensorData> {
    let shape: Vec<usize> = parameter.size().iter().map(|&size| size as usize).collect();
    Ok(TensorData::from_f32(&shape, &to_vec(parameter)?))
}

impl Bottleneck {
    fn new(state_dict: &StateDict, block: resnet::Bottleneck) -> Result<Self> {
        let [conv1, conv2, conv3] = block.convs;
        let conv_norm = |names| ConvNorm::new(state_dict, names);
        Ok(Bottleneck {
            convs: [conv_norm(conv1)?, conv_norm(conv2)?, conv_norm(conv3)?],
            downsample: block.downsample.map(conv_norm).transpose()?,
        })
    }

    fn conv_norms(&self) -> impl Iterator<Item = &ConvNorm> {
        self.convs.iter().chain(&self.downsample)
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        residual::forward(&self.convs, self.downsample.as_ref(), x, ConvNorm::forward)
    }
}

impl ConvNorm {
    fn new(state_dict: &StateDict, names: resnet::ConvNorm) -> Result<Self> {
        let tensor = |prefix: &str, name: &str| -> Result<Tensor> {
            let name = format!("{prefix}.{name}");
            let tensor = state_dict
                .get(&name)
                .ok_or_else(|| Error::Internal(format!("{name} is not in the state dict")))?;
            let shape: Vec<i64> = tensor.shape.iter().map(|&size| size as i64).collect();
            Ok(Tensor::f_from_slice(&tensor.to_f32())?.f_view(shape.as_slice())?)
        };
        let weight = channels_last(&tensor(&names.conv, "weight")?)?;
        Ok(ConvNorm {
            weight: weight.f_set_requires_grad(true)?,
            scale: tensor(&names.norm, "weight")?.f_set_requires_grad(true)?,
            shift: tensor(&names.norm, "bias")?.f_set_requires_grad(true)?,
            mean: tensor(&names.norm, "running_mean")?,
            variance: tensor(&names.norm, "running_var")?,
            names,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let (stride, padding) = (self.names.stride as i64, self.names.padding() as i64);
        let none = None::<&Tensor>;
        let x = x.f_conv2d(&self.weight, none, [stride; 2], [padding; 2], [1, 1], 1)?;
        let (scale, shift) = (Some(&self.scale), Some(&self.shift));
        let (mean, variance) = (Some(&self.mean), Some(&self.variance));
        x.f_batch_norm(scale, shift, mean, variance, false, 0.0, NORM_EPSILON, false)
    }
}
