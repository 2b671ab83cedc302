//! The backbone on this program's own kernels, in f32.

use std::ops::Range;
use std::sync::Arc;

use crate::config::{CROP, NUM_FEATURES};
use crate::error::Result;
use crate::kernels::fetch::{LINE_LEN, fetch};
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

/// Bytes of a block's output that are computed before what follows of them: they stay in the L2 cache,
/// 512 KiB at least on servers since 2017.
const PART_BYTES: usize = 256 << 10;

/// Side of an image.
const SIDE: usize = CROP as usize;
/// The stem's kernel reaches this far outside the image.
const STEM_PADDING: usize = 3;
const PADDED_SIDE: usize = SIDE + 2 * STEM_PADDING;
/// Side of the stem's output before pooling.
const STEM_SIDE: usize = SIDE / 2;
/// Lines of it that are computed before they are pooled: 230 KB.
const STRIP: usize = 8;
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
    /// `[1 + 8, 112, 64]`: a strip of lines below the last one of the strip before.
    stem: Vec<f32>,
    /// Of one image.
    image: Activations,
    /// Of all images of the chunk.
    chunk: Activations,
    winograd: winograd::Scratch,
}

/// `[N, side, side, C]`; each block replaces them by its output. Those of `values` and `projected` lie
/// [`stride_of`] their channels apart.
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
            forward(per_image, self.isa, &mut scratch.image, &mut scratch.winograd);
            scratch.chunk.values.extend_from_slice(&scratch.image.values);
        }
        forward(per_chunk, self.isa, &mut scratch.chunk, &mut scratch.winograd);
        let image_len = scratch.chunk.values.len() / (features.len() / NUM_FEATURES);
        let images = scratch.chunk.values.chunks_exact(image_len);
        for (image, features) in images.zip(features.chunks_exact_mut(NUM_FEATURES)) {
            average_pool(image, stride_of(NUM_FEATURES), features);
        }
    }

    /// Convolution and pooling, `[224, 224, 3]` to `[56, 56, 64]`, some lines at a time so that they are
    /// pooled while they are in the cache.
    fn stem(&self, image: &[f32], scratch: &mut Scratch) {
        let Gemm { weights, bias } = &self.layers.stem;
        scratch.padded.resize(PADDED_SIDE * PADDED_SIDE * RGB, 0.0);
        let lines = scratch.padded.chunks_exact_mut(PADDED_SIDE * RGB).skip(STEM_PADDING);
        for (line, pixels) in lines.zip(image.chunks_exact(SIDE * RGB)) {
            line[STEM_PADDING * RGB..][..SIDE * RGB].copy_from_slice(pixels);
        }
        let num_channels = weights.num_outputs();
        let line_len = STEM_SIDE * num_channels;
        // The line above the strip: the image begins below zeros.
        scratch.stem.resize((1 + STRIP) * line_len, 0.0);
        scratch.stem[..line_len].fill(0.0);
        // 64 channels lie without gaps.
        let pooled = resized(&mut scratch.image.values, STEM_SIDE * line_len / 4);
        for (strip, pooled) in pooled.chunks_exact_mut(STRIP * line_len / 4).enumerate() {
            let rows = StemRows { padded: &scratch.padded, first_line: strip * STRIP };
            let epilogue = Epilogue { bias, add: false, relu: true };
            gemm(self.isa, &rows, weights, epilogue, &mut scratch.stem[line_len..]);
            max_pool(self.isa, &scratch.stem, STEM_SIDE, num_channels, pooled);
            scratch.stem.copy_within(STRIP * line_len.., 0);
        }
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

    /// The first convolution, for all pixels.
    fn reduce(&self, isa: Isa, x: &mut Activations) {
        let in_stride = stride_of(self.in_channels);
        let inputs = Contiguous { values: &x.values, row_len: in_stride };
        let len = x.values.len() / in_stride * self.reduce.weights.num_outputs();
        self.reduce.forward(isa, &inputs, true, resized(&mut x.reduced, len));
    }

    /// The 3x3 convolution, for all pixels.
    fn convolve(&self, isa: Isa, x: &mut Activations, winograd: &mut winograd::Scratch) {
        let len = x.reduced.len() / (self.stride * self.stride);
        let convolved = resized(&mut x.convolved, len);
        self.convolve.forward(isa, &x.reduced, self.side, winograd, convolved);
    }

    /// The last convolution with the shortcut around the block, and the first one of the block after
    /// it: some pixels at a time, so that these are still in the cache when they are needed again.
    fn expand(&self, isa: Isa, next: Option<&Block>, x: &mut Activations) {
        let width = self.reduce.weights.num_outputs();
        let num_pixels = x.convolved.len() / width;
        let (in_stride, out_stride) =
            (stride_of(self.in_channels), stride_of(self.expand.weights.num_outputs()));
        let next_width = next.map_or(0, |next| next.reduce.weights.num_outputs());
        resized(&mut x.reduced, num_pixels * next_width);
        if self.downsample.is_some() {
            resized(&mut x.projected, num_pixels * out_stride);
            std::mem::swap(&mut x.values, &mut x.projected);
        }
        let part_len = PART_BYTES / (size_of::<f32>() * out_stride);
        for first in (0..num_pixels).step_by(part_len) {
            let part = first..num_pixels.min(first + part_len);
            let out = &mut x.values[part.start * out_stride..part.end * out_stride];
            fetch(out);
            if let Some(downsample) = &self.downsample {
                let inputs = Strided {
                    values: &x.projected,
                    side: self.side,
                    stride: self.stride,
                    pixel_stride: in_stride,
                    pixels: part.clone(),
                };
                downsample.forward(isa, &inputs, false, out);
            }
            let convolved = &x.convolved[part.start * width..part.end * width];
            let inputs = Contiguous { values: convolved, row_len: width };
            let epilogue = Epilogue { bias: &self.expand.bias, add: true, relu: true };
            gemm(isa, &inputs, &self.expand.weights, epilogue, out);
            if let Some(next) = next {
                let inputs = Contiguous { values: out, row_len: out_stride };
                let reduced = &mut x.reduced[part.start * next_width..part.end * next_width];
                next.reduce.forward(isa, &inputs, true, reduced);
            }
        }
    }
}

/// Takes `x` through blocks that follow each other.
fn forward(blocks: &[Block], isa: Isa, x: &mut Activations, winograd: &mut winograd::Scratch) {
    if let Some(first) = blocks.first() {
        first.reduce(isa, x);
    }
    for (index, block) in blocks.iter().enumerate() {
        block.convolve(isa, x, winograd);
        block.expand(isa, blocks.get(index + 1), x);
    }
}

/// From a pixel to the next, in f32 values. A cache line more than the channels where these are many:
/// pixels a page apart would compete for the same eight lines of the L1 cache.
fn stride_of(num_channels: usize) -> usize {
    if num_channels < 256 { num_channels } else { num_channels + LINE_LEN }
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
    /// Where the image begins, and where the pixel's offsets do.
    type Place = (usize, usize);

    #[inline(always)]
    fn num_rows(&self) -> usize {
        self.input.len() / self.taps.image_len * (self.taps.offsets.len() / 9)
    }

    #[inline(always)]
    fn place(&self, row: usize) -> (usize, usize) {
        let num_pixels = self.taps.offsets.len() / 9;
        (row / num_pixels * self.taps.image_len, row % num_pixels * 9)
    }

    #[inline(always)]
    fn segment(&self, (image, pixel): (usize, usize), segment: usize) -> &[f32] {
        match self.taps.offsets[pixel + segment] {
            Taps::OUTSIDE => &self.taps.zeros,
            offset => &self.input[image + offset as usize..],
        }
    }
}

/// Every `stride`th pixel of every `stride`th line.
struct Strided<'a> {
    /// `[N, side, side, C]`
    values: &'a [f32],
    side: usize,
    stride: usize,
    /// From a pixel to the next.
    pixel_stride: usize,
    /// Which of the output's pixels.
    pixels: Range<usize>,
}

impl Rows for Strided<'_> {
    type Place = usize;

    #[inline(always)]
    fn num_rows(&self) -> usize {
        self.pixels.len()
    }

    #[inline(always)]
    fn place(&self, row: usize) -> usize {
        let out_side = self.side / self.stride;
        // Lines of all images follow each other, and a line of output takes `stride` of them.
        let pixel = self.pixels.start + row;
        let (line, column) = (pixel / out_side, pixel % out_side);
        (line * self.side + column) * self.stride * self.pixel_stride
    }

    #[inline(always)]
    fn segment(&self, place: usize, _segment: usize) -> &[f32] {
        &self.values[place..]
    }
}

/// The lines of the stem's kernel at each output pixel of a strip.
struct StemRows<'a> {
    /// `[230, 230, 3]`
    padded: &'a [f32],
    first_line: usize,
}

impl Rows for StemRows<'_> {
    type Place = usize;

    #[inline(always)]
    fn num_rows(&self) -> usize {
        STRIP * STEM_SIDE
    }

    #[inline(always)]
    fn place(&self, row: usize) -> usize {
        let (y, x) = (self.first_line + row / STEM_SIDE, row % STEM_SIDE);
        2 * (y * PADDED_SIDE + x) * RGB
    }

    #[inline(always)]
    fn segment(&self, place: usize, segment: usize) -> &[f32] {
        &self.padded[place + segment * PADDED_SIDE * RGB..]
    }
}
