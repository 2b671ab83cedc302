//! The linear layer `fc` on the backbone's features.

use tch::{Kind, Tensor};

use super::state_dict::{StateDict, TensorData};
use crate::error::{Error, Result};

/// `logits = features * weight^T + bias`.
#[derive(Debug)]
pub struct Head {
    /// `[C, F]` f32.
    pub weight: Tensor,
    /// `[C]` f32.
    pub bias: Tensor,
}

impl Head {
    /// All zeros: every class is as likely as any other.
    ///
    /// # Errors
    /// When libtorch fails, as it does without memory.
    pub fn zeros(num_classes: usize, num_features: usize) -> Result<Self> {
        let options = (Kind::Float, tch::Device::Cpu);
        Ok(Head {
            weight: Tensor::f_zeros([num_classes as i64, num_features as i64], options)?,
            bias: Tensor::f_zeros([num_classes as i64], options)?,
        })
    }

    /// The tensors `fc.weight` and `fc.bias`, which have passed [`StateDict::check`].
    ///
    /// # Errors
    /// When one of them is missing.
    pub fn from_state_dict(state_dict: &StateDict) -> Result<Self> {
        let tensor = |name: &str| -> Result<Tensor> {
            let data = state_dict
                .get(name)
                .ok_or_else(|| Error::Internal(format!("{name} is not in the state dict")))?;
            let shape: Vec<i64> = data.shape.iter().map(|&size| size as i64).collect();
            Ok(Tensor::f_from_slice(&data.to_f32())?.f_view(shape.as_slice())?)
        };
        Ok(Head { weight: tensor("fc.weight")?, bias: tensor("fc.bias")? })
    }

    /// Puts `fc.weight` and `fc.bias` into a state dict, in place of those that are there.
    ///
    /// # Errors
    /// When libtorch fails, as it does without memory.
    pub fn write_to(&self, state_dict: &mut StateDict) -> Result<()> {
        for (name, tensor) in [("fc.weight", &self.weight), ("fc.bias", &self.bias)] {
            let shape: Vec<usize> = tensor.size().iter().map(|&size| size as usize).collect();
            let data = TensorData::from_f32(&shape, &to_vec(tensor)?);
            state_dict.insert(name.to_owned(), data);
        }
        Ok(())
    }

    /// Logits `[N, C]` f32 of features `[N, F]` f32.
    ///
    /// # Errors
    /// When libtorch refuses the shapes.
    pub fn forward(&self, features: &Tensor) -> Result<Tensor> {
        Ok(self.bias.f_addmm(features, &self.weight.f_tr()?)?)
    }

    /// A copy of its own memory.
    pub fn copy(&self) -> Self {
        Head { weight: self.weight.copy(), bias: self.bias.copy() }
    }
}

/// The elements of an f32 tensor, row by row.
///
/// # Errors
/// When the tensor is not f32.
pub fn to_vec(tensor: &Tensor) -> Result<Vec<f32>> {
    let mut values = vec![0.0; tensor.numel()];
    tensor.f_contiguous()?.f_copy_data(&mut values, tensor.numel())?;
    Ok(values)
}
