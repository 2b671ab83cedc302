//! A step of the optimizer on a mini-batch.

use std::ops::Range;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::packing;
use super::scaling::Scaling;
use super::softmax::subtract_target;
use super::update::{Step, Update};
use crate::features::FeatureMatrix;
use crate::kernels::gemm::{Contiguous, Epilogue, PackedWeights, gemm};
use crate::kernels::gemm_transposed::gemm_transposed;
use crate::kernels::isa::Isa;
use crate::model::head::Head;

/// Adam (Kingma and Ba 2015) on the mean cross-entropy plus the L2 penalty.
///
/// The penalty is part of the loss, not decoupled as in AdamW, so that the optimum is that of
/// penalized logistic regression. Plain momentum does not reach it in the same number of epochs: a
/// few directions of the features have most of the variance.
pub(super) struct Adam<'a> {
    isa: Isa,
    train: &'a FeatureMatrix,
    scaling: &'a Scaling,
    num_classes: usize,
    l2_penalty: f32,
    num_steps: i32,
    blocks: Vec<Block>,
    bias: Parameters,
    /// Gradient by the logits, `[B, C]`, a panel of classes each.
    logit_gradients: Vec<PackedWeights>,
}

/// Parameters with Adam's running means of their gradient and of its square.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Parameters {
    values: Vec<f32>,
    means: Vec<f32>,
    squares: Vec<f32>,
}

/// All that a step changes, to go on from. Weights are packed as the instructions at hand want them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct AdamState {
    num_steps: i32,
    blocks: Vec<Parameters>,
    bias: Parameters,
}

/// The weights of some of the features, and what a step needs of them.
struct Block {
    features: Range<usize>,
    /// `[features, C]`, packed; the columns that fill up the last panel stay zero.
    weights: PackedWeights,
    /// In the weights' order.
    means: Vec<f32>,
    squares: Vec<f32>,
    gradients: Vec<f32>,
    /// `[B, features]`, scaled.
    rows: Vec<f32>,
    /// `[B, C]`: what these features contribute.
    logits: Vec<f32>,
}

impl<'a> Adam<'a> {
    pub(super) fn new(
        train: &'a FeatureMatrix,
        scaling: &'a Scaling,
        num_classes: usize,
        l2_penalty: f64,
    ) -> Self {
        let isa = Isa::fastest();
        let blocks: Vec<Block> = packing::blocks(train.num_features)
            .map(|features| {
                let weights = PackedWeights::zeros(isa, features.len(), num_classes);
                let zeros = vec![0.0; weights.values().len()];
                Block {
                    features,
                    weights,
                    means: zeros.clone(),
                    squares: zeros.clone(),
                    gradients: zeros,
                    rows: Vec::new(),
                    logits: Vec::new(),
                }
            })
            .collect();
        let zeros = vec![0.0; num_classes];
        let bias = Parameters { values: zeros.clone(), means: zeros.clone(), squares: zeros };
        Adam {
            isa,
            train,
            scaling,
            num_classes,
            l2_penalty: l2_penalty as f32,
            num_steps: 0,
            blocks,
            bias,
            logit_gradients: Vec::new(),
        }
    }

    /// One step on the rows `batch` of the train split; returns the logits `[B, C]` from before it.
    pub(super) fn step(&mut self, batch: &[usize], targets: &[usize], rate: f64) -> Vec<f32> {
        let (isa, train, scaling) = (self.isa, self.train, self.scaling);
        self.blocks.par_iter_mut().for_each(|block| block.forward(isa, train, scaling, batch));
        let logits = self.sum_logits(batch.len());
        self.num_steps += 1;
        let step = Step::new(rate, self.num_steps);
        self.set_logit_gradients(&logits, targets, step);
        let (gradients, l2_penalty) = (&self.logit_gradients, self.l2_penalty);
        self.blocks.par_iter_mut().for_each(|block| {
            block.backward(isa, gradients, l2_penalty, step);
        });
        logits
    }

    /// Where it is.
    pub(super) fn state(&self) -> AdamState {
        let blocks = self.blocks.iter().map(|block| Parameters {
            values: block.weights.values().to_vec(),
            means: block.means.clone(),
            squares: block.squares.clone(),
        });
        AdamState { num_steps: self.num_steps, blocks: blocks.collect(), bias: self.bias.clone() }
    }

    /// Goes to where another one was, on the same features and instructions; `false`, and nothing
    /// done, when that one was of another shape.
    pub(super) fn restore(&mut self, state: AdamState) -> bool {
        let len = |parameters: &Parameters| {
            let Parameters { values, means, squares } = parameters;
            (values.len() == means.len() && means.len() == squares.len()).then_some(values.len())
        };
        let own = self.blocks.iter().map(|block| Some(block.weights.values().len()));
        let is_same = own.eq(state.blocks.iter().map(len))
            && len(&state.bias) == Some(self.bias.values.len());
        if is_same {
            self.num_steps = state.num_steps;
            for (block, parameters) in self.blocks.iter_mut().zip(state.blocks) {
                block.weights.values_mut().copy_from_slice(&parameters.values);
                block.means = parameters.means;
                block.squares = parameters.squares;
            }
            self.bias = state.bias;
        }
        is_same
    }

    /// The parameters as they are, for scaled features.
    pub(super) fn head(&self) -> Head {
        let weights = self.blocks.iter().map(|block| &block.weights);
        let weight = packing::unpack(weights, self.train.num_features, self.num_classes);
        Head { weight, bias: self.bias.values.clone() }
    }

    fn sum_logits(&self, batch_len: usize) -> Vec<f32> {
        let mut logits = Vec::with_capacity(batch_len * self.num_classes);
        for row in 0..batch_len {
            let begin = logits.len();
            logits.extend_from_slice(&self.bias.values);
            for block in &self.blocks {
                let padded = block.weights.num_outputs();
                let part = &block.logits[row * padded..][..self.num_classes];
                for (sum, &value) in logits[begin..].iter_mut().zip(part) {
                    *sum += value;
                }
            }
        }
        logits
    }

    /// The gradient of the mean cross-entropy by the logits: `(softmax - one-hot) / B`. Steps the
    /// bias too, whose gradient is the sum over the batch.
    fn set_logit_gradients(&mut self, logits: &[f32], targets: &[usize], step: Step) {
        let (batch_len, num_classes) = (targets.len(), self.num_classes);
        let panel = PackedWeights::zeros(self.isa, 0, 1).num_outputs();
        self.logit_gradients.clear();
        self.logit_gradients.extend(
            (0..num_classes)
                .step_by(panel)
                .map(|_| PackedWeights::zeros(self.isa, batch_len, panel)),
        );
        let mut bias_gradients = vec![0.0f32; num_classes];
        let mut gradients = vec![0.0f32; num_classes];
        for (row, (logits, &target)) in logits.chunks_exact(num_classes).zip(targets).enumerate() {
            gradients.copy_from_slice(logits);
            subtract_target(&mut gradients, target, batch_len);
            for (sum, &gradient) in bias_gradients.iter_mut().zip(&gradients) {
                *sum += gradient;
            }
            for (packed, gradients) in self.logit_gradients.iter_mut().zip(gradients.chunks(panel))
            {
                packed.values_mut()[row * panel..][..gradients.len()].copy_from_slice(gradients);
            }
        }
        let Parameters { values, means, squares } = &mut self.bias;
        self.isa.run(Update {
            values,
            means,
            squares,
            gradients: &bias_gradients,
            l2_penalty: 0.0,
            step,
        });
    }
}

impl Block {
    /// Gathers and scales this block's features of the batch, and multiplies them with its weights.
    fn forward(&mut self, isa: Isa, train: &FeatureMatrix, scaling: &Scaling, batch: &[usize]) {
        let len = self.features.len();
        self.rows.resize(batch.len() * len, 0.0);
        self.logits.resize(batch.len() * self.weights.num_outputs(), 0.0);
        for (row, &index) in self.rows.chunks_exact_mut(len).zip(batch) {
            let first = index * train.num_features + self.features.start;
            scaling.apply(self.features.start, &train.values[first..first + len], row);
        }
        let rows = Contiguous { values: &self.rows, row_len: len };
        let epilogue = Epilogue { bias: &[], add: false, relu: false };
        gemm(isa, &rows, &self.weights, epilogue, &mut self.logits);
    }

    /// The gradient by this block's weights, and Adam's step along it.
    fn backward(
        &mut self,
        isa: Isa,
        logit_gradients: &[PackedWeights],
        l2_penalty: f32,
        step: Step,
    ) {
        let len = self.features.len();
        let panels = self.gradients.chunks_exact_mut(len * self.weights.panel());
        for (logit_gradients, gradients) in logit_gradients.iter().zip(panels) {
            gemm_transposed(isa, &self.rows, len, logit_gradients, gradients);
        }
        isa.run(Update {
            values: self.weights.values_mut(),
            means: &mut self.means,
            squares: &mut self.squares,
            gradients: &self.gradients,
            l2_penalty,
            step,
        });
    }
}
