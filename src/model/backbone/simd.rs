//! The backbone on this program's own kernels, in f32.

use std::sync::Arc;

use crate::config::{CROP, NUM_FEATURES};
use crate::error::Result;
use crate::kernels::gemm::{Contiguous, Epilogue, PackedWeights, Rows, gemm};
use crate::kernels::isa::Isa;
use crate::kernels::pool::{average_pool, max_pool};
use crate::kernels::winograd::{self, Winograd};
use crate::model::fold::fold;
use crate::model::resnet::{self, Bottleneck, ConvNorm};
use crate::model::state_dict::StateDict;

/// Blocks, of 16, that take one image at a time, so that its activations stay in the cache. Later
/// ones take all images of a chunk, so that each of their weights is read once for many pixels.
const BLOCKS_PER_IMAGE: usize = 7;

/// Side of an image.
const SIDE: usize = CROP as usize;
/// The stem's kernel reaches this far outside the image.
const STEM_PADDING: usize = 3;
const PADDED_SIDE: usize = SIDE + 2 * STEM_PADDING;
/// Channels of an image.
const RGB: usize = 3;

/// ResNet50 without its head. Cheap to clone: the weights are shared.
#[derive(Debug, Clone)]
pub struct SimdBackbone {
    isa: Isa,
    layers: Arc<Layers>,
}

#[derive(Debug)]
struct Layers {
    stem: Gemm,
    blocks: Vec<Block>,
}

/// The activations of a chunk, kept from call to call.
#[derive(Debug, Default)]
pub struct Scratch {
    /// `[230, 230, 3]`: an image with zeros around it.
    padded: Vec<f32>,
    /// `[112, 112, 64]`
    stem: Vec<f32>,
    /// Of one image.
    image: Activations,
    /// Of all images of the chunk.
    chunk: Activations,
    winograd: winograd::Scratch,
}

/// `[N, side, side, C]`; each block replaces them by its output.
#[derive(Debug, Default)]
struct Activations {
    values: Vec<f32>,
    projected: Vec<f32>,
    reduced: Vec<f32>,
    convolved: Vec<f32>,
}

impl SimdBackbone {
    /// Folds, transforms and packs the weights. `state_dict` has passed [`StateDict::check`] against
    /// [`resnet::tensor_specs`].
    ///
    /// # Errors
    /// When a tensor is missing.
    pub fn new(isa: Isa, state_dict: &StateDict) -> Result<Self> {
        let stem = Gemm::new(isa, state_dict, &resnet::stem())?;
        let mut side = SIDE / 4;
        let mut blocks = Vec::new();
        for block in resnet::bottlenecks() {
            blocks.push(Block::new(isa, state_dict, &block, side)?);
            side /= block.convs[1].stride;
        }
        Ok(SimdBackbone { isa, layers: Arc::new(Layers { stem, blocks }) })
    }

    /// The instructions it computes with.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// Writes the pooled features, `[N, 2048]` f32, of normalized pixels, `[N, 224, 224, 3]` f32.
    ///
    /// The features of an image are the same bits whatever N is and whichever images are beside it.
    pub fn forward(&self, pixels: &[f32], scratch: &mut Scratch, features: &mut [f32]) {
        let (per_image, per_chunk) = self.layers.blocks.split_at(BLOCKS_PER_IMAGE);
        scratch.chunk.values.clear();
        for image in pixels.chunks_exact(SIDE * SIDE * RGB) {
            self.stem(image, scratch);
            for block in per_image {
                block.forward(self.isa, &mut scratch.image, &mut scratch.winograd);
            }
            scratch.chunk.values.extend_from_slice(&scratch.image.values);
        }
        for block in per_chunk {
            block.forward(self.isa, &mut scratch.chunk, &mut scratch.winograd);
        }
        let image_len = scratch.chunk.values.len() / (features.len() / NUM_FEATURES);
        let images = scratch.chunk.values.chunks_exact(image_len);
        for (image, features) in images.zip(features.chunks_exact_mut(NUM_FEATURES)) {
            average_pool(image, features);
        }
    }

    /// Convolution and pooling, `[224, 224, 3]` to `[56, 56, 64]`.
    fn stem(&self, image: &[f32], scratch: &mut Scratch) {
        let Gemm { weights, bias } = &self.layers.stem;
        scratch.padded.resize(PADDED_SIDE * PADDED_SIDE * RGB, 0.0);
        let lines = scratch.padded.chunks_exact_mut(PADDED_SIDE * RGB).skip(STEM_PADDING);
        for (line, pixels) in lines.zip(image.chunks_exact(SIDE * RGB)) {
            line[STEM_PADDING * RGB..][..SIDE * RGB].copy_from_slice(pixels);
        }
        let num_channels = weights.num_outputs();
        scratch.stem.resize(SIDE / 2 * SIDE / 2 * num_channels, 0.0);
        let epilogue = Epilogue { bias, add: false, relu: true };
        gemm(self.isa, &StemRows(&scratch.padded), weights, epilogue, &mut scratch.stem);
        scratch.image.values.resize(scratch.stem.len() / 4, 0.0);
        max_pool(&scratch.stem, SIDE / 2, num_channels, &mut scratch.image.values);
    }
}

/// A bottleneck for images of a given size.
#[derive(Debug)]
struct Block {
    reduce: Gemm,
    convolve: Conv3x3,
    expand: Gemm,
    downsample: Option<Gemm>,
    /// Of the input.
    side: usize,
    stride: usize,
    in_channels: usize,
}

impl Block {
    fn new(isa: Isa, state_dict: &StateDict, block: &Bottleneck, side: usize) -> Result<Self> {
        let [conv1, conv2, conv3] = &block.convs;
        let gemm = |conv| Gemm::new(isa, state_dict, conv);
        Ok(Block {
            reduce: gemm(conv1)?,
            convolve: Conv3x3::new(isa, state_dict, conv2, side)?,
            expand: gemm(conv3)?,
            downsample: block.downsample.as_ref().map(gemm).transpose()?,
            side,
            stride: conv2.stride,
            in_channels: conv1.in_channels,
        })
    }

    fn forward(&self, isa: Isa, x: &mut Activations, winograd: &mut winograd::Scratch) {
        let num_pixels = x.values.len() / self.in_channels;
        let num_out_pixels = num_pixels / (self.stride * self.stride);
        let inputs = Contiguous { values: &x.values, row_len: self.in_channels };
        let width = self.reduce.weights.num_outputs();
        self.reduce.forward(isa, &inputs, true, resized(&mut x.reduced, num_pixels * width));
        let convolved = resized(&mut x.convolved, num_out_pixels * width);
        self.convolve.forward(isa, &x.reduced, self.side, winograd, convolved);

        if let Some(downsample) = &self.downsample {
            let inputs = Strided {
                values: &x.values,
                side: self.side,
                stride: self.stride,
                num_channels: self.in_channels,
            };
            let out_len = num_out_pixels * downsample.weights.num_outputs();
            downsample.forward(isa, &inputs, false, resized(&mut x.projected, out_len));
            std::mem::swap(&mut x.values, &mut x.projected);
        }
        let inputs = Contiguous { values: &x.convolved, row_len: width };
        let epilogue = Epilogue { bias: &self.expand.bias, add: true, relu: true };
        gemm(isa, &inputs, &self.expand.weights, epilogue, &mut x.values);
    }
}

/// `len` values to be overwritten.
fn resized(values: &mut Vec<f32>, len: usize) -> &mut [f32] {
    values.resize(len, 0.0);
    values
}

/// A convolution as one matrix product.
#[derive(Debug)]
struct Gemm {
    weights: PackedWeights,
    /// `[out]` f32.
    bias: Vec<f32>,
}

impl Gemm {
    fn new(isa: Isa, state_dict: &StateDict, conv: &ConvNorm) -> Result<Self> {
        let folded = fold(state_dict, conv)?;
        let (in_channels, kernel) = (conv.in_channels, conv.kernel);
        // A segment is a line of the kernel where its pixels are neighbours in memory.
        let (num_segments, segment_len) = match kernel {
            1 => (1, in_channels),
            3 => (9, in_channels),
            _ => (kernel, kernel * in_channels),
        };
        let weights = PackedWeights::new(
            isa,
            num_segments,
            segment_len,
            conv.out_channels,
            |depth, output| {
                let (pixel, channel) = (depth / in_channels, depth % in_channels);
                folded.weight[(output * in_channels + channel) * kernel * kernel + pixel]
            },
        );
        Ok(Gemm { weights, bias: folded.bias })
    }

    fn forward(&self, isa: Isa, rows: &impl Rows, relu: bool, out: &mut [f32]) {
        gemm(isa, rows, &self.weights, Epilogue { bias: &self.bias, add: false, relu }, out);
    }
}

/// A 3x3 convolution with its ReLU.
#[derive(Debug)]
enum Conv3x3 {
    Winograd { winograd: Winograd, bias: Vec<f32> },
    Strided { gemm: Gemm, taps: Taps },
}

impl Conv3x3 {
    fn new(isa: Isa, state_dict: &StateDict, conv: &ConvNorm, side: usize) -> Result<Self> {
        if conv.stride == 1 {
            let folded = fold(state_dict, conv)?;
            let winograd = Winograd::new(isa, conv.in_channels, conv.out_channels, &folded.weight);
            return Ok(Conv3x3::Winograd { winograd, bias: folded.bias });
        }
        let taps = Taps::new(side, conv.stride, conv.in_channels);
        Ok(Conv3x3::Strided { gemm: Gemm::new(isa, state_dict, conv)?, taps })
    }

    fn forward(
        &self,
        isa: Isa,
        input: &[f32],
        side: usize,
        scratch: &mut winograd::Scratch,
        out: &mut [f32],
    ) {
        match self {
            Conv3x3::Winograd { winograd, bias } => {
                winograd.forward(isa, input, side, bias, scratch, out);
            }
            Conv3x3::Strided { gemm, taps } => {
                gemm.forward(isa, &TapRows { input, taps }, true, out);
            }
        }
    }
}

/// Where the nine input pixels of each output pixel lie.
#[derive(Debug)]
struct Taps {
    /// `[pixels, 9]`: offset in an image, or [`Taps::OUTSIDE`].
    offsets: Vec<u32>,
    image_len: usize,
    /// Stands for a pixel outside.
    zeros: Vec<f32>,
}

impl Taps {
    const OUTSIDE: u32 = u32::MAX;

    fn new(side: usize, stride: usize, num_channels: usize) -> Self {
        let mut offsets = Vec::new();
        for y in (0..side).step_by(stride) {
            for x in (0..side).step_by(stride) {
                for tap in 0..9 {
                    // One pixel up and left where the kernel begins.
                    let (row, column) = (y + tap / 3, x + tap % 3);
                    let inside = (1..=side).contains(&row) && (1..=side).contains(&column);
                    offsets.push(if inside {
                        (((row - 1) * side + column - 1) * num_channels) as u32
                    } else {
                        Taps::OUTSIDE
                    });
                }
            }
        }
        let image_len = side * side * num_channels;
        Taps { offsets, image_len, zeros: vec![0.0; num_channels] }
    }
}

/// Each output pixel's nine input pixels.
struct TapRows<'a> {
    input: &'a [f32],
    taps: &'a Taps,
}

impl Rows for TapRows<'_> {
    #[inline(always)]
    fn num_rows(&self) -> usize {
        self.input.len() / self.taps.image_len * (self.taps.offsets.len() / 9)
    }

    #[inline(always)]
    fn segment(&self, row: usize, segment: usize) -> &[f32] {
        let num_pixels = self.taps.offsets.len() / 9;
        let (image, pixel) = (row / num_pixels, row % num_pixels);
        match self.taps.offsets[pixel * 9 + segment] {
            Taps::OUTSIDE => &self.taps.zeros,
            offset => &self.input[image * self.taps.image_len + offset as usize..],
        }
    }
}

/// Every `stride`th pixel of every `stride`th line.
struct Strided<'a> {
    /// `[N, side, side, C]`
    values: &'a [f32],
    side: usize,
    stride: usize,
    num_channels: usize,
}

impl Rows for Strided<'_> {
    #[inline(always)]
    fn num_rows(&self) -> usize {
        self.values.len() / (self.num_channels * self.stride * self.stride)
    }

    #[inline(always)]
    fn segment(&self, row: usize, _segment: usize) -> &[f32] {
        let out_side = self.side / self.stride;
        // Lines of all images follow each other, and a line of output takes `stride` of them.
        let (line, column) = (row / out_side, row % out_side);
        let pixel = (line * self.side + column) * self.stride;
        &self.values[pixel * self.num_channels..]
    }
}

/// The lines of the stem's kernel at each output pixel, in a padded image.
struct StemRows<'a>(&'a [f32]);

impl Rows for StemRows<'_> {
    #[inline(always)]
    fn num_rows(&self) -> usize {
        SIDE / 2 * SIDE / 2
    }

    #[inline(always)]
    fn segment(&self, row: usize, segment: usize) -> &[f32] {
        let (y, x) = (row / (SIDE / 2), row % (SIDE / 2));
        &self.0[((2 * y + segment) * PADDED_SIDE + 2 * x) * RGB..]
    }
}
