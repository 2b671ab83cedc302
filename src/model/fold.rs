//! Batch norm folded into the convolution before it.
//!
//! In eval mode batch norm is an affine map per channel with constants known when the weights are
//! loaded. The products are taken in f64 and rounded once.

use super::resnet::ConvNorm;
use super::state_dict::StateDict;
use crate::error::{Error, Result};

/// PyTorch's default of `BatchNorm2d`; torchvision's ResNet does not change it.
pub const NORM_EPSILON: f64 = 1e-5;

/// A convolution with a bias, equal to a convolution without one and the norm after it.
#[derive(Debug, Clone, PartialEq)]
pub struct FoldedConv {
    /// `[out, in, kernel, kernel]` f32.
    pub weight: Vec<f32>,
    /// `[out]` f32.
    pub bias: Vec<f32>,
}

/// Folds the tensors that `conv_norm` names. `state_dict` has passed [`StateDict::check`] against
/// [`super::resnet::tensor_specs`].
///
/// # Errors
/// When a tensor is missing.
pub fn fold(state_dict: &StateDict, conv_norm: &ConvNorm) -> Result<FoldedConv> {
    let tensor = |prefix: &str, name: &str| -> Result<Vec<f32>> {
        let name = format!("{prefix}.{name}");
        let tensor = state_dict
            .get(&name)
            .ok_or_else(|| Error::Internal(format!("{name} is not in the state dict")))?;
        Ok(tensor.to_f32())
    };
    let mut weight = tensor(&conv_norm.conv, "weight")?;
    let [gamma, beta, mean, var] =
        ["weight", "bias", "running_mean", "running_var"].map(|n| tensor(&conv_norm.norm, n));
    let (gamma, beta, mean, var) = (gamma?, beta?, mean?, var?);

    let per_channel = weight.len() / conv_norm.out_channels;
    let mut bias = Vec::with_capacity(conv_norm.out_channels);
    for (channel, weight) in weight.chunks_exact_mut(per_channel).enumerate() {
        let scale = f64::from(gamma[channel]) / (f64::from(var[channel]) + NORM_EPSILON).sqrt();
        for value in weight {
            *value = (f64::from(*value) * scale) as f32;
        }
        bias.push((f64::from(beta[channel]) - f64::from(mean[channel]) * scale) as f32);
    }
    Ok(FoldedConv { weight, bias })
}
