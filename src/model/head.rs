//! The linear layer `fc` on the backbone's features.

use serde::{Deserialize, Serialize};

use super::state_dict::{StateDict, TensorData};
use crate::error::{Error, Result};
use crate::kernels::gemm::{Contiguous, Epilogue, PackedWeights, gemm};
use crate::kernels::isa::Isa;

/// `logits = features * weight^T + bias`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Head {
    /// `[C, F]` f32.
    pub weight: Vec<f32>,
    /// `[C]` f32.
    pub bias: Vec<f32>,
}

impl Head {
    /// The tensors `fc.weight` and `fc.bias`, which have passed [`StateDict::check`].
    ///
    /// # Errors
    /// When one of them is missing.
    pub fn from_state_dict(state_dict: &StateDict) -> Result<Self> {
        let values = |name: &str| -> Result<Vec<f32>> {
            let tensor = state_dict
                .get(name)
                .ok_or_else(|| Error::Internal(format!("{name} is not in the state dict")))?;
            Ok(tensor.to_f32())
        };
        Ok(Head { weight: values("fc.weight")?, bias: values("fc.bias")? })
    }

    /// Puts `fc.weight` and `fc.bias` into a state dict, in place of those that are there.
    pub fn write_to(&self, state_dict: &mut StateDict) {
        let num_classes = self.num_classes();
        let shape = [num_classes, self.weight.len() / num_classes];
        for (name, shape, values) in
            [("fc.weight", &shape[..], &self.weight), ("fc.bias", &shape[..1], &self.bias)]
        {
            state_dict.insert(name.to_owned(), TensorData::from_f32(shape, values));
        }
    }

    /// C
    pub fn num_classes(&self) -> usize {
        self.bias.len()
    }

    /// The head as the kernels read it.
    pub fn pack(&self) -> PackedHead {
        let isa = Isa::fastest();
        let num_classes = self.num_classes();
        let num_features = self.weight.len() / num_classes;
        let mut bias = self.bias.clone();
        bias.resize(PackedWeights::zeros(isa, 0, num_classes).num_outputs(), 0.0);
        let weights = PackedWeights::new(isa, 1, num_features, bias.len(), |_, feature, class| {
            self.weight.get(class * num_features + feature).copied().unwrap_or_default()
        });
        PackedHead { isa, weights, bias, num_classes, num_features }
    }
}

/// A head that computes.
#[derive(Debug, Clone)]
pub struct PackedHead {
    isa: Isa,
    weights: PackedWeights,
    /// With zeros up to a whole panel.
    bias: Vec<f32>,
    num_classes: usize,
    num_features: usize,
}

impl PackedHead {
    /// Logits `[N, C]` f32 of features `[N, F]` f32. Those of a row do not depend on the others.
    pub fn logits(&self, features: &[f32]) -> Vec<f32> {
        let rows = Contiguous { values: features, row_len: self.num_features };
        let padded_len = self.bias.len();
        let mut padded = vec![0.0; features.len() / self.num_features * padded_len];
        let epilogue = Epilogue { bias: &self.bias, add: false, relu: false };
        gemm(self.isa, &rows, &self.weights, epilogue, &mut padded);
        let rows = padded.chunks_exact(padded_len);
        rows.flat_map(|row| &row[..self.num_classes]).copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logits_are_products_plus_bias() {
        let head = Head { weight: vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0], bias: vec![0.5, -1.0, 0.0] };
        assert_eq!(
            head.pack().logits(&[1.0, 10.0, 0.0, -1.0]),
            [21.5, 42.0, 65.0, -1.5, -5.0, -6.0]
        );
    }

    #[test]
    fn a_head_survives_the_state_dict() {
        let head = Head { weight: vec![1.0, -2.0, 3.0, 4.0], bias: vec![0.5, -1.0] };
        let mut state_dict = StateDict::new();
        head.write_to(&mut state_dict);
        assert_eq!(state_dict.get("fc.weight").unwrap().shape, [2, 2]);
        assert_eq!(state_dict.get("fc.bias").unwrap().shape, [2]);
        assert_eq!(Head::from_state_dict(&state_dict).unwrap(), head);
    }
}
