//! A bottleneck for CPUs that multiply tiles.

use super::convolution::{Downsample, Product};
use super::network::ResidualBlock;
use super::padding::{PaddedRows, Padding};
use super::{Activations, stride_of};
use crate::error::Result;
use crate::kernels::aligned::Aligned;
use crate::kernels::amx::{Amx, Pixels};
use crate::kernels::gemm::{Contiguous, Epilogue};
use crate::kernels::pairs::Pair;
use crate::model::resnet::Bottleneck;
use crate::model::state_dict::StateDict;

/// Bytes of a block's output that are computed before the first convolution of the next block: they stay in
/// the L2 cache, 2 MiB on all CPUs with AMX.
const PART_BYTES: usize = 1 << 20;

/// A bottleneck whose 3x3 convolution is computed directly: tiles multiply sixteen times as fast as vectors,
/// which would have to compute the transforms of Winograd's way.
///
/// The first convolution writes its output between zeros, where the 3x3 one finds it.
#[derive(Debug)]
pub struct TileBlock {
    reduce: Product<Amx>,
    convolve: Product<Amx>,
    expand: Product<Amx>,
    downsample: Option<Downsample<Amx>>,
    padding: Padding,
    /// [`Padding::places`]
    places: Vec<u32>,
    /// From a pixel of the input to the next, and of the output.
    in_stride: usize,
    out_stride: usize,
}

impl ResidualBlock<Amx> for TileBlock {
    type Scratch = ();

    fn new(
        arithmetic: Amx,
        state_dict: &StateDict,
        block: &Bottleneck,
        side: usize,
    ) -> Result<Self> {
        let [conv1, conv2, conv3] = &block.convs;
        let product = |conv| Product::new(arithmetic, state_dict, conv);
        let downsample = |conv| Downsample::new(arithmetic, state_dict, conv, side);
        let padding = Padding { side, stride: conv2.stride, pixel_len: conv2.in_channels / 2 };
        Ok(TileBlock {
            reduce: product(conv1)?,
            convolve: product(conv2)?,
            expand: product(conv3)?,
            downsample: block.downsample.as_ref().map(downsample).transpose()?,
            padding,
            places: padding.places(),
            in_stride: stride_of::<Pair>(conv1.in_channels),
            out_stride: stride_of::<Pair>(conv3.out_channels),
        })
    }

    fn forward(blocks: &[Self], x: &mut Activations<Pair>, _scratch: &mut ()) {
        if let Some(first) = blocks.first() {
            let num_pixels = x.values.len() / first.in_stride;
            first.clear(num_pixels, &mut x.reduced);
            first.reduce(0, &x.values, &mut x.reduced);
        }
        for (index, block) in blocks.iter().enumerate() {
            let num_images = x.values.len() / (block.places.len() * block.in_stride);
            let out_side = block.padding.out_side();
            let num_pixels = num_images * out_side * out_side;
            block.convolve(num_pixels, x);
            block.expand(blocks.get(index + 1), num_pixels, x);
        }
    }
}

impl TileBlock {
    /// Writes the zeros between which the first convolution puts so many pixels.
    fn clear(&self, num_pixels: usize, reduced: &mut Aligned<Pair>) {
        self.padding.clear(reduced.resized(self.padding.len(num_pixels / self.places.len())));
    }

    /// The first convolution, of pixels after the `skipped` first ones.
    fn reduce(&self, skipped: usize, values: &[Pair], reduced: &mut [Pair]) {
        let Product { arithmetic, ref weights, ref bias, .. } = self.reduce;
        let image_stride = self.padding.image_len();
        let pixels = Pixels { places: &self.places, image_stride, skipped };
        let rows = Contiguous { values, row_len: self.in_stride };
        let epilogue = Epilogue { bias, add: false, relu: true };
        arithmetic.multiply_to(&rows, weights, epilogue, &pixels, reduced);
    }

    /// The 3x3 convolution, for all pixels.
    fn convolve(&self, num_pixels: usize, x: &mut Activations<Pair>) {
        let (padding, segments) = (self.padding, self.padding.segments());
        let convolved = x.convolved.resized(num_pixels * self.convolve.out_len);
        let rows = PaddedRows { padded: &x.reduced, padding, segments, num_pixels };
        self.convolve.forward(&rows, true, convolved);
    }

    /// The last convolution with the shortcut around the block, and the first one of the block after it: some
    /// pixels at a time, so that these are still in the cache when they are needed again.
    fn expand(&self, next: Option<&TileBlock>, num_pixels: usize, x: &mut Activations<Pair>) {
        let (width, out_stride) = (self.convolve.out_len, self.out_stride);
        if let Some(next) = next {
            next.clear(num_pixels, &mut x.reduced);
        }
        if self.downsample.is_some() {
            x.projected.resized(num_pixels * out_stride);
            std::mem::swap(&mut x.values, &mut x.projected);
        }
        let part_len = PART_BYTES / (size_of::<Pair>() * out_stride);
        for first in (0..num_pixels).step_by(part_len) {
            let part = first..num_pixels.min(first + part_len);
            let out = &mut x.values[part.start * out_stride..part.end * out_stride];
            if let Some(downsample) = &self.downsample {
                downsample.forward(&x.projected, part.clone(), out);
            }
            let convolved = &x.convolved[part.start * width..part.end * width];
            self.expand.add_relu(&Contiguous { values: convolved, row_len: width }, out);
            if let Some(next) = next {
                next.reduce(part.start, out, &mut x.reduced);
            }
        }
    }
}
