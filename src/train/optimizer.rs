//! A step of the optimizer on a mini-batch.

use std::ops::Range;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::packing;
use super::scaling::Scaling;
use super::softmax::subtract_target;
use super::update::{Step, Update};
use crate::error::Result;
use crate::features::SplitFeatures;
use crate::kernels::gemm::{Contiguous, Epilogue, PackedWeights, gemm};
use crate::kernels::gemm_transposed::gemm_transposed;
use crate::kernels::isa::Isa;
use crate::metrics::{Accumulator, Metrics, rank};
use crate::model::head::Head;

/// Rows of a split that one thread evaluates at a time: a multiple of the kernels' 12.
const ROWS: usize = 24;
/// Rows of a batch that one thread goes through at a time.
const SUMMED_ROWS: usize = 8;

/// Adam (Kingma and Ba 2015) on the mean cross-entropy plus the L2 penalty.
///
/// The penalty is part of the loss, not decoupled as in AdamW, so that the optimum is that of
/// penalized logistic regression. Plain momentum does not reach it in the same number of epochs: a
/// few directions of the features have most of the variance.
pub(super) struct Adam<'a> {
    isa: Isa,
    train: &'a SplitFeatures,
    scaling: &'a Scaling,
    num_classes: usize,
    l2_penalty: f32,
    num_steps: i32,
    blocks: Vec<Block>,
    bias: Parameters,
    /// Gradient by the logits, `[B, C]`.
    logit_gradients: PackedWeights,
    /// For features of a batch that are on disk.
    buffer: Vec<f32>,
}

/// Parameters with Adam's running means of their gradient and of its square.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Parameters {
    values: Vec<f32>,
    means: Vec<f32>,
    squares: Vec<f32>,
}

/// Weights and bias as they were after a step, in the order of the blocks.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Snapshot {
    pub(super) weights: Vec<Vec<f32>>,
    pub(super) bias: Vec<f32>,
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
    /// `[B, features]`, scaled.
    rows: Vec<f32>,
    /// `[B, C]`: what these features contribute.
    logits: Vec<f32>,
}

impl<'a> Adam<'a> {
    pub(super) fn new(
        train: &'a SplitFeatures,
        scaling: &'a Scaling,
        num_classes: usize,
        l2_penalty: f64,
    ) -> Self {
        let isa = Isa::fastest();
        let blocks: Vec<Block> = packing::blocks(train.num_features())
            .map(|features| {
                let weights = PackedWeights::zeros(isa, features.len(), num_classes);
                let zeros = vec![0.0; weights.values().len()];
                Block {
                    features,
                    weights,
                    means: zeros.clone(),
                    squares: zeros,
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
            logit_gradients: PackedWeights::zeros(isa, 0, num_classes),
            buffer: Vec::new(),
        }
    }

    /// One step on the rows `batch` of the train split. The logits from before it are added to `measures`.
    ///
    /// # Errors
    /// When features cannot be read; nothing is changed then.
    pub(super) fn step(
        &mut self,
        batch: &[usize],
        targets: &[usize],
        rate: f64,
        measures: &mut Accumulator,
    ) -> Result<()> {
        let (isa, scaling) = (self.isa, self.scaling);
        let rows = self.train.gather(batch, &mut self.buffer)?;
        self.blocks
            .par_iter_mut()
            .with_max_len(1)
            .for_each(|block| block.forward(isa, &rows, scaling));
        let (gradients, of_batch) = self.sum_logits(targets);
        measures.add_all(&of_batch);
        self.num_steps += 1;
        let step = Step::new(rate, self.num_steps);
        self.set_logit_gradients(&gradients, step);
        let (gradients, l2_penalty) = (&self.logit_gradients, self.l2_penalty);
        self.blocks.par_iter_mut().for_each_init(Vec::new, |buffer, block| {
            block.backward(isa, gradients, l2_penalty, step, buffer);
        });
        Ok(())
    }

    /// The parameters as they are.
    pub(super) fn snapshot(&self) -> Snapshot {
        let weights = self.blocks.iter().map(|block| block.weights.values().to_vec());
        Snapshot { weights: weights.collect(), bias: self.bias.values.clone() }
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
    /// done, when that one, or `best`, was of another shape.
    pub(super) fn restore(&mut self, state: AdamState, best: &Snapshot) -> bool {
        let len = |parameters: &Parameters| {
            let Parameters { values, means, squares } = parameters;
            (values.len() == means.len() && means.len() == squares.len()).then_some(values.len())
        };
        let own = self.blocks.iter().map(|block| Some(block.weights.values().len()));
        let is_same = own.eq(state.blocks.iter().map(len))
            && len(&state.bias) == Some(self.bias.values.len())
            && self.fits(best);
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

    /// The head for scaled features that was there at a snapshot of this fit.
    pub(super) fn head_at(&self, snapshot: &Snapshot) -> Head {
        let weights = self.blocks.iter().zip(&snapshot.weights);
        let weights = weights.map(|(block, values)| {
            let mut weights = block.weights.clone();
            weights.values_mut().copy_from_slice(values);
            weights
        });
        let weights: Vec<PackedWeights> = weights.collect();
        let weight = packing::unpack(&weights, self.train.num_features(), self.num_classes);
        Head { weight, bias: snapshot.bias.clone() }
    }

    /// Whether a snapshot is of a fit of this shape.
    fn fits(&self, snapshot: &Snapshot) -> bool {
        let own = self.blocks.iter().map(|block| block.weights.values().len());
        own.eq(snapshot.weights.iter().map(Vec::len)) && snapshot.bias.len() == self.num_classes
    }

    /// The measures on a split as the parameters are.
    ///
    /// # Errors
    /// When features cannot be read.
    pub(super) fn evaluate(&self, split: &SplitFeatures) -> Result<Metrics> {
        let (isa, num_classes) = (self.isa, self.num_classes);
        let (targets, num_features) = (split.targets(), split.num_features());
        let starts: Vec<usize> = (0..targets.len()).step_by(ROWS).collect();
        let chunks = starts.into_par_iter().map_init(Default::default, |buffers, first| {
            let (buffer, scaled) = buffers;
            let end = targets.len().min(first + ROWS);
            let rows = split.rows(first..end, buffer)?;
            let mut logits = vec![0.0; (end - first) * self.logit_gradients.num_outputs()];
            for Block { features, weights, .. } in &self.blocks {
                let rows = rows.chunks_exact(num_features);
                gather(rows, self.scaling, features.clone(), scaled);
                let rows = Contiguous { values: scaled, row_len: features.len() };
                let epilogue = Epilogue { bias: &[], add: true, relu: false };
                gemm(isa, &rows, weights, epilogue, &mut logits);
            }
            let mut measures = Accumulator::default();
            let rows = logits.chunks_exact_mut(self.logit_gradients.num_outputs());
            for (row, &target) in rows.zip(&targets[first..]) {
                let row = &mut row[..num_classes];
                row.iter_mut().zip(&self.bias.values).for_each(|(logit, bias)| *logit += bias);
                measures.add(row, &[target]);
            }
            Ok(measures)
        });
        Ok(sum(&chunks.collect::<Result<Vec<_>>>()?).mean())
    }

    /// The gradient of the mean cross-entropy by the logits, `(softmax - one-hot) / B`, `[B, C]`, and the
    /// measures of the logits.
    fn sum_logits(&self, targets: &[usize]) -> (Vec<f32>, Accumulator) {
        let (num_classes, batch_len) = (self.num_classes, targets.len());
        let mut gradients = vec![0.0; batch_len * num_classes];
        let chunks = gradients
            .par_chunks_mut(SUMMED_ROWS * num_classes)
            .zip(targets.par_chunks(SUMMED_ROWS))
            .enumerate();
        let measures = chunks.map(|(chunk, (gradients, targets))| {
            let mut measures = Accumulator::default();
            let rows = gradients.chunks_exact_mut(num_classes).zip(targets);
            for (row, (logits, &target)) in (chunk * SUMMED_ROWS..).zip(rows) {
                logits.copy_from_slice(&self.bias.values);
                for block in &self.blocks {
                    let padded = block.weights.num_outputs();
                    let part = &block.logits[row * padded..][..num_classes];
                    for (sum, &value) in logits.iter_mut().zip(part) {
                        *sum += value;
                    }
                }
                let rank = rank(logits, target);
                measures.add_sample(subtract_target(self.isa, logits, target, batch_len), rank);
            }
            measures
        });
        let measures = sum(&measures.collect::<Vec<_>>());
        (gradients, measures)
    }

    /// Packs the gradient `[B, C]` by the logits. Steps the bias, whose gradient is the sum over the batch.
    fn set_logit_gradients(&mut self, gradients: &[f32], step: Step) {
        let num_classes = self.num_classes;
        let batch_len = gradients.len() / num_classes;
        if self.logit_gradients.values().len() != batch_len * self.logit_gradients.num_outputs() {
            self.logit_gradients = PackedWeights::zeros(self.isa, batch_len, num_classes);
        }
        let mut bias_gradients = vec![0.0f32; num_classes];
        for (row, gradients) in gradients.chunks_exact(num_classes).enumerate() {
            for (sum, &gradient) in bias_gradients.iter_mut().zip(gradients) {
                *sum += gradient;
            }
            self.logit_gradients.set_row(row, gradients);
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

/// Writes the scaled features of a block, of some rows, to `scaled`.
fn gather<'a>(
    rows: impl ExactSizeIterator<Item = &'a [f32]>,
    scaling: &Scaling,
    features: Range<usize>,
    scaled: &mut Vec<f32>,
) {
    scaled.resize(rows.len() * features.len(), 0.0);
    for (out, row) in scaled.chunks_exact_mut(features.len()).zip(rows) {
        scaling.apply(features.start, &row[features.clone()], out);
    }
}

/// The measures of all samples.
fn sum(parts: &[Accumulator]) -> Accumulator {
    let mut sum = Accumulator::default();
    parts.iter().for_each(|part| sum.add_all(part));
    sum
}

impl Block {
    /// Gathers and scales this block's features of a batch's rows, and multiplies them with its weights.
    fn forward(&mut self, isa: Isa, rows: &[&[f32]], scaling: &Scaling) {
        self.logits.resize(rows.len() * self.weights.num_outputs(), 0.0);
        gather(rows.iter().copied(), scaling, self.features.clone(), &mut self.rows);
        let rows = Contiguous { values: &self.rows, row_len: self.features.len() };
        let epilogue = Epilogue { bias: &[], add: false, relu: false };
        gemm(isa, &rows, &self.weights, epilogue, &mut self.logits);
    }

    /// The gradient by this block's weights, and Adam's step along it. `gradients` is a buffer.
    fn backward(
        &mut self,
        isa: Isa,
        logit_gradients: &PackedWeights,
        l2_penalty: f32,
        step: Step,
        gradients: &mut Vec<f32>,
    ) {
        gradients.resize(self.weights.values().len(), 0.0);
        let num_rows = self.features.len();
        let rows = Contiguous { values: &self.rows, row_len: num_rows };
        gemm_transposed(isa, rows, num_rows, logit_gradients.into(), false, gradients, &[]);
        isa.run(Update {
            values: self.weights.values_mut(),
            means: &mut self.means,
            squares: &mut self.squares,
            gradients,
            l2_penalty,
            step,
        });
    }
}
