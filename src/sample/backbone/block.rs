//! A bottleneck whose convolutions are filled in unit by unit.
//!
//! A unit is a channel of the block's middle. All values between blocks are at least 0, so the
//! rectifiers change nothing but where a filter answers with a sign.

use std::ops::Range;

use rand::RngExt;
use rand::seq::index;
use rand_chacha::ChaCha8Rng;

use super::filters::{Kernel, Phase};
use crate::model::resnet::Bottleneck;
use crate::model::state_dict::{StateDict, TensorData};

/// Standard deviation of the blur before a step of 2, in pixels of the finer grid.
const BLUR_SIGMA: f64 = 0.8;
/// Channels that a random difference takes in.
const NUM_TERMS: usize = 4;

/// The weights of one bottleneck; zero until filled.
pub struct Block<'a> {
    shape: &'a Bottleneck,
    /// conv1, `[width, in]`.
    reduce: Matrix,
    /// conv2, `[width, width * 9]`.
    spatial: Matrix,
    /// conv3, `[out, width]`.
    expand: Matrix,
    /// The projection, `[out, in]`.
    shortcut: Option<Matrix>,
    num_units: usize,
    gain: f32,
}

impl<'a> Block<'a> {
    /// A block of zeros that multiplies what it carries over by `gain`.
    pub fn new(shape: &'a Bottleneck, gain: f32) -> Block<'a> {
        let [reduce, spatial, expand] = &shape.convs;
        Block {
            shape,
            reduce: Matrix::zeros(reduce.out_channels, reduce.in_channels),
            spatial: Matrix::zeros(spatial.out_channels, spatial.in_channels * 9),
            expand: Matrix::zeros(expand.out_channels, expand.in_channels),
            shortcut: shape
                .downsample
                .as_ref()
                .map(|project| Matrix::zeros(project.out_channels, project.in_channels)),
            num_units: 0,
            gain,
        }
    }

    /// Carries channels over in the projection, every second pixel where the block steps by 2.
    pub fn keep(&mut self, channels: impl IntoIterator<Item = usize>) {
        if let Some(shortcut) = &mut self.shortcut {
            for channel in channels {
                *shortcut.at(channel, channel) = self.gain;
            }
        }
    }

    /// Carries channels over blurred, so that a step of 2 loses no contrast by chance.
    pub fn smooth(&mut self, channels: impl IntoIterator<Item = usize>) {
        let blur = Kernel::gaussian(3, BLUR_SIGMA);
        for channel in channels {
            let unit = self.units(1).start;
            *self.reduce.at(unit, channel) = 1.0;
            self.set_kernel(unit, unit, &blur);
            *self.expand.at(channel, unit) = self.gain;
        }
    }

    /// Writes the strength of edges and lines in the blurred picture to the channels `into`:
    /// lightness at eight angles each, lines of the two colour opponents at four.
    ///
    /// `picture` holds pairs of positive and negative parts.
    pub fn measure_orientations(&mut self, picture: Range<usize>, into: Range<usize>) {
        let pair = |i: usize| (picture.start + 2 * i, picture.start + 2 * i + 1);
        let banks = [
            (pair(0), Phase::Edge, 8),
            (pair(0), Phase::Line, 8),
            (pair(1), Phase::Line, 4),
            (pair(2), Phase::Line, 4),
        ];
        let num_filters: usize = banks.iter().map(|&(_, _, count)| count).sum();
        assert_eq!(num_filters, into.len(), "a channel per filter");
        let mut units = self.units(2 * num_filters);
        // The first units of the middle also take the picture in.
        let input = units.start;
        for (offset, channel) in picture.clone().enumerate() {
            *self.reduce.at(input + offset, channel) = 1.0;
        }
        let mut into = into;
        for ((positive, negative), phase, count) in banks {
            let (positive, negative) = (positive - picture.start, negative - picture.start);
            for (kernel, channel) in Kernel::oriented_3x3(phase, count).iter().zip(&mut into) {
                for (kernel, unit) in [kernel.clone(), kernel.negated()].iter().zip(&mut units) {
                    self.set_kernel(unit, input + positive, kernel);
                    self.set_kernel(unit, input + negative, &kernel.negated());
                    *self.expand.at(channel, unit) = 1.0;
                }
            }
        }
    }

    /// Writes to each channel of `into` how much one of `sources` varies along a random direction:
    /// contrast of contrast, by which a weave differs from a stripe.
    pub fn measure_variation(
        &mut self,
        sources: &[usize],
        into: Range<usize>,
        rng: &mut ChaCha8Rng,
    ) {
        let mut bank = Kernel::oriented_3x3(Phase::Edge, 4);
        bank.extend(Kernel::oriented_3x3(Phase::Line, 4));
        for channel in into {
            let units = self.units(2);
            let source = sources[rng.random_range(0..sources.len())];
            let kernel = &bank[rng.random_range(0..bank.len())];
            *self.reduce.at(units.start, source) = 1.0;
            self.set_kernel(units.start, units.start, kernel);
            self.set_kernel(units.start + 1, units.start, &kernel.negated());
            for unit in units {
                *self.expand.at(channel, unit) = 1.0;
            }
        }
    }

    /// Writes to each channel of `into` a random difference of some `sources`, rectified pixel by
    /// pixel and then blurred: which contrasts occur in one place.
    pub fn compare(&mut self, sources: &[usize], into: Range<usize>, rng: &mut ChaCha8Rng) {
        let blur = Kernel::gaussian(3, BLUR_SIGMA);
        for channel in into {
            let unit = self.units(1).start;
            for (source, weight) in random_difference(sources, rng) {
                *self.reduce.at(unit, source) = weight;
            }
            self.set_kernel(unit, unit, &blur);
            *self.expand.at(channel, unit) = 1.0;
        }
    }

    /// The same in the projection, without a blur; it takes none of the middle's units.
    pub fn compare_in_shortcut(
        &mut self,
        sources: &[usize],
        into: Range<usize>,
        rng: &mut ChaCha8Rng,
    ) {
        if let Some(shortcut) = &mut self.shortcut {
            for channel in into {
                for (source, weight) in random_difference(sources, rng) {
                    *shortcut.at(channel, source) = self.gain * weight;
                }
            }
        }
    }

    /// Adds the convolutions' weights to `state_dict` under the block's names.
    pub fn insert_into(self, state_dict: &mut StateDict) {
        let [reduce, spatial, expand] = &self.shape.convs;
        let mut weights =
            vec![(reduce, self.reduce), (spatial, self.spatial), (expand, self.expand)];
        weights.extend(self.shape.downsample.as_ref().zip(self.shortcut));
        for (conv, matrix) in weights {
            let shape = [conv.out_channels, conv.in_channels, conv.kernel, conv.kernel];
            let tensor = TensorData::from_f32(&shape, &matrix.values);
            state_dict.insert(format!("{}.weight", conv.conv), tensor);
        }
    }

    /// Takes the next `count` units.
    fn units(&mut self, count: usize) -> Range<usize> {
        let first = self.num_units;
        self.num_units += count;
        assert!(self.num_units <= self.spatial.num_rows, "the plan has more units than the block");
        first..self.num_units
    }

    fn set_kernel(&mut self, output: usize, input: usize, kernel: &Kernel) {
        for (offset, &weight) in kernel.weights.iter().enumerate() {
            *self.spatial.at(output, input * 9 + offset) = weight as f32;
        }
    }
}

/// Some of the sources with weights of sum 0 and length 1. With sum 0 the sign of the difference
/// does not depend on the picture's contrast.
fn random_difference(
    sources: &[usize],
    rng: &mut ChaCha8Rng,
) -> impl Iterator<Item = (usize, f32)> {
    let chosen = index::sample(rng, sources.len(), NUM_TERMS);
    let raw: [f64; NUM_TERMS] = std::array::from_fn(|_| rng.random_range(-1.0..1.0));
    let mean = raw.iter().sum::<f64>() / NUM_TERMS as f64;
    let length = raw.iter().map(|weight| (weight - mean).powi(2)).sum::<f64>().sqrt();
    let weights = raw.map(|weight| ((weight - mean) / length) as f32);
    chosen.into_iter().map(|i| sources[i]).zip(weights)
}

/// Rows of f32.
struct Matrix {
    num_rows: usize,
    num_columns: usize,
    values: Vec<f32>,
}

impl Matrix {
    fn zeros(num_rows: usize, num_columns: usize) -> Matrix {
        Matrix { num_rows, num_columns, values: vec![0.0; num_rows * num_columns] }
    }

    fn at(&mut self, row: usize, column: usize) -> &mut f32 {
        assert!(column < self.num_columns, "column {column} of {}", self.num_columns);
        &mut self.values[row * self.num_columns + column]
    }
}
