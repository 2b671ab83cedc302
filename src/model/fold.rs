//! Batch norm folded into the convolution before it.
//!
//! In eval mode batch norm is an affine map per channel with constants known when the weights are
//! loaded. The products are taken in f64 and rounded once.

use super::resnet::ConvNorm;
use super::state_dict::{StateDict, TensorData};
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
    let folding = Folding::new(state_dict, conv_norm)?;
    let mut weight = vec![0.0; folding.weight.num_elements()];
    let row_len = weight.len() / conv_norm.out_channels;
    for (output, row) in weight.chunks_exact_mut(row_len).enumerate() {
        folding.row(output, row);
    }
    Ok(FoldedConv { weight, bias: folding.bias })
}

/// The same, whose weights are folded when they are read.
#[derive(Debug)]
pub struct Folding<'a> {
    /// Of the convolution before the norm.
    weight: &'a TensorData,
    /// `[out]`, what an output's weights are multiplied with.
    scales: Vec<f64>,
    /// `[out]` f32.
    pub bias: Vec<f32>,
}

impl<'a> Folding<'a> {
    /// As [`fold`].
    ///
    /// # Errors
    /// When a tensor is missing.
    pub fn new(state_dict: &'a StateDict, conv_norm: &ConvNorm) -> Result<Self> {
        let tensor = |prefix: &str, name: &str| -> Result<&'a TensorData> {
            let name = format!("{prefix}.{name}");
            let missing = || Error::Internal(format!("{name} is not in the state dict"));
            state_dict.get(&name).ok_or_else(missing)
        };
        let weight = tensor(&conv_norm.conv, "weight")?;
        let [gamma, beta, mean, var] = ["weight", "bias", "running_mean", "running_var"]
            .map(|name| tensor(&conv_norm.norm, name).map(TensorData::to_f32));
        let (gamma, beta, mean, var) = (gamma?, beta?, mean?, var?);

        let scale = |(&gamma, &var): (&f32, &f32)| {
            f64::from(gamma) / (f64::from(var) + NORM_EPSILON).sqrt()
        };
        let scales: Vec<f64> = gamma.iter().zip(&var).map(scale).collect();
        let bias = beta.iter().zip(&mean).zip(&scales);
        let bias =
            bias.map(|((&beta, &mean), scale)| (f64::from(beta) - f64::from(mean) * scale) as f32);
        Ok(Folding { weight, bias: bias.collect(), scales })
    }

    /// Writes the weights of an output, `[in, kernel, kernel]` f32.
    pub fn row(&self, output: usize, row: &mut [f32]) {
        self.weight.read_f32(output * row.len(), row);
        let scale = self.scales[output];
        for value in row {
            *value = (f64::from(*value) * scale) as f32;
        }
    }
}
