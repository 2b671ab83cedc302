//! Batch norm folded into the convolution before it.
//!
//! In eval mode batch norm is an affine map per channel with constants known when the weights are
//! loaded. The products are taken in f64 and rounded once.

use super::resnet::ConvNorm;
use super::state_dict::{TensorData, TensorReader, TensorSource};
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

/// Folds the tensors that `conv_norm` names. Those of `tensors` are the ones of
/// [`super::resnet::tensor_specs`].
///
/// # Errors
/// When a tensor is missing or cannot be read.
pub fn fold(tensors: &dyn TensorSource, conv_norm: &ConvNorm) -> Result<FoldedConv> {
    let mut folding = Folding::new(tensors, conv_norm)?;
    let mut weight = vec![0.0; folding.num_weights()];
    let row_len = weight.len() / conv_norm.out_channels;
    for (output, row) in weight.chunks_exact_mut(row_len).enumerate() {
        folding.row(output, row);
    }
    let bias = folding.finish()?;
    Ok(FoldedConv { weight, bias })
}

/// Outputs whose weights are read at once.
const WINDOW: usize = 32;

/// The same, whose weights are read and folded when they are asked for.
#[derive(Debug)]
pub struct Folding<'a> {
    /// Of the convolution before the norm.
    weight: TensorReader<'a>,
    /// The weights of some outputs, from `first_output` on.
    window: TensorData,
    first_output: usize,
    /// Why there are no more weights.
    failed: Option<Error>,
    /// `[out]`, what an output's weights are multiplied with.
    scales: Vec<f64>,
    /// `[out]` f32.
    bias: Vec<f32>,
}

impl<'a> Folding<'a> {
    /// Of the tensors that `conv_norm` names.
    ///
    /// # Errors
    /// As [`fold`].
    pub fn new(tensors: &'a dyn TensorSource, conv_norm: &ConvNorm) -> Result<Self> {
        let tensor = |prefix: &str, name: &str| -> Result<TensorReader<'a>> {
            let name = format!("{prefix}.{name}");
            let missing = || Error::Internal(format!("{name} is not in the state dict"));
            tensors.open(&name)?.ok_or_else(missing)
        };
        let weight = tensor(&conv_norm.conv, "weight")?;
        let values = |name: &str| -> Result<Vec<f32>> {
            Ok(tensor(&conv_norm.norm, name)?.read_all()?.to_f32())
        };
        let (gamma, beta) = (values("weight")?, values("bias")?);
        let (mean, var) = (values("running_mean")?, values("running_var")?);

        let scale = |(&gamma, &var): (&f32, &f32)| {
            f64::from(gamma) / (f64::from(var) + NORM_EPSILON).sqrt()
        };
        let scales: Vec<f64> = gamma.iter().zip(&var).map(scale).collect();
        let bias = beta.iter().zip(&mean).zip(&scales);
        let bias =
            bias.map(|((&beta, &mean), scale)| (f64::from(beta) - f64::from(mean) * scale) as f32);
        let bias = bias.collect();
        let window = TensorData { dtype: weight.dtype, shape: Vec::new(), bytes: Vec::new() };
        Ok(Folding { weight, window, first_output: 0, failed: None, scales, bias })
    }

    /// `[out]` f32.
    pub fn bias(&self) -> &[f32] {
        &self.bias
    }

    /// Number of weights that have not been read.
    fn num_weights(&self) -> usize {
        self.weight.num_left() / self.weight.dtype.size_bytes()
    }

    /// Writes the weights of an output, `[in, kernel, kernel]` f32. Those of outputs 0 to 31 are to be asked for
    /// before all others, then those of 32 to 63, and so on. Where they cannot be read,
    /// [`Folding::finish`] tells it.
    pub fn row(&mut self, output: usize, row: &mut [f32]) {
        let row_bytes = row.len() * self.window.dtype.size_bytes();
        while self.failed.is_none() && output >= self.first_output + self.num_read(row_bytes) {
            self.first_output += self.num_read(row_bytes);
            let len = self.weight.num_left().min(WINDOW * row_bytes);
            self.window.bytes.resize(len, 0);
            self.failed = match self.weight.read(&mut self.window.bytes) {
                Ok(()) if len == 0 => Some(Error::Internal(format!("there is no output {output}"))),
                read => read.err(),
            };
        }
        if self.failed.is_some() {
            return;
        }
        self.window.read_f32((output - self.first_output) * row.len(), row);
        let scale = self.scales[output];
        for value in row {
            *value = (f64::from(*value) * scale) as f32;
        }
    }

    /// Outputs in the window.
    fn num_read(&self, row_bytes: usize) -> usize {
        self.window.bytes.len() / row_bytes
    }

    /// The bias, `[out]` f32, when all weights have been read.
    ///
    /// # Errors
    /// Why they could not be.
    pub fn finish(self) -> Result<Vec<f32>> {
        self.failed.map_or(Ok(self.bias), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::state_dict::StateDict;

    const OUTPUTS: usize = 70;
    const ROW_LEN: usize = 6;

    fn conv_norm() -> ConvNorm {
        ConvNorm {
            conv: "conv".into(),
            norm: "norm".into(),
            in_channels: ROW_LEN,
            out_channels: OUTPUTS,
            kernel: 1,
            stride: 1,
        }
    }

    fn tensors() -> StateDict {
        let weights: Vec<f32> = (0..OUTPUTS * ROW_LEN).map(|index| index as f32).collect();
        let mut tensors = StateDict::new();
        tensors.insert("conv.weight", TensorData::from_f32(&[OUTPUTS, ROW_LEN, 1, 1], &weights));
        for (name, value) in [("weight", 2.0), ("bias", 0.5), ("running_mean", 3.0)] {
            let tensor = TensorData::from_f32(&[OUTPUTS], &[value; OUTPUTS]);
            tensors.insert(format!("norm.{name}"), tensor);
        }
        let variances: Vec<f32> = (0..OUTPUTS).map(|output| 1.0 + output as f32).collect();
        tensors.insert("norm.running_var", TensorData::from_f32(&[OUTPUTS], &variances));
        tensors
    }

    #[test]
    fn rows_are_folded_in_any_order_within_32_outputs() {
        let tensors = tensors();
        let mut folding = Folding::new(&tensors, &conv_norm()).unwrap();
        for first in (0..OUTPUTS).step_by(WINDOW) {
            for output in (first..OUTPUTS.min(first + WINDOW)).rev() {
                let mut row = [0.0; ROW_LEN];
                folding.row(output, &mut row);
                let scale = 2.0 / (1.0 + output as f64 + NORM_EPSILON).sqrt();
                let expected = |index| ((output * ROW_LEN + index) as f64 * scale) as f32;
                assert_eq!(row, std::array::from_fn(expected));
                assert_eq!(folding.bias()[output], (0.5 - 3.0 * scale) as f32);
            }
        }
        assert_eq!(folding.finish().unwrap().len(), OUTPUTS);
    }

    #[test]
    fn weights_that_end_too_early_are_told_at_the_end() {
        let tensors = tensors();
        let mut folding = Folding::new(&tensors, &conv_norm()).unwrap();
        folding.row(OUTPUTS, &mut [0.0; ROW_LEN]);
        assert!(folding.finish().is_err());
    }
}
