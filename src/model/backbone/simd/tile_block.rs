//! A bottleneck for CPUs that multiply tiles.

use std::mem;

use super::convolution::Product;
use super::network::ResidualBlock;
use super::padding::{PaddedRows, Padding};
use super::{Activations, stride_of};
use crate::error::Result;
use crate::kernels::aligned::Aligned;
use crate::kernels::amx::{Amx, Ends, Pixels};
use crate::kernels::gemm::{Contiguous, Epilogue};
use crate::kernels::pairs::Pair;
use crate::model::resnet::Bottleneck;
use crate::model::state_dict::TensorSource;

/// Bytes of a block's output that are computed before the first convolution of the next block: much of them
/// stays in the L2 cache, 2 MiB on all CPUs with AMX.
const PART_BYTES: usize = 2 << 20;

/// A bottleneck whose 3x3 convolution is computed directly: tiles multiply sixteen times as fast as vectors,
/// which would have to compute the transforms of Winograd's way.
///
/// The first convolution writes its output between zeros, where the 3x3 one finds it. The last one is one
/// product with the convolution on the shortcut where there is one.
#[derive(Debug)]
pub struct TileBlock {
    reduce: Product<Amx>,
    convolve: Product<Amx>,
    expand: Product<Amx>,
    /// Pairs of a pixel that a convolution on the shortcut takes.
    shortcut_len: Option<usize>,
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
        tensors: &dyn TensorSource,
        block: &Bottleneck,
        side: usize,
    ) -> Result<Self> {
        let [conv1, conv2, conv3] = &block.convs;
        let product = |conv| Product::new(arithmetic, tensors, conv);
        let padding = Padding { side, stride: conv2.stride, pixel_len: conv2.in_channels / 2 };
        Ok(TileBlock {
            reduce: product(conv1)?,
            convolve: product(conv2)?,
            expand: match &block.downsample {
                Some(shortcut) => Product::of_sum(arithmetic, tensors, [conv3, shortcut])?,
                None => product(conv3)?,
            },
            shortcut_len: block.downsample.as_ref().map(|conv| conv.in_channels / 2),
            padding,
            places: padding.places(),
            in_stride: stride_of::<Pair>(conv1.in_channels),
            out_stride: stride_of::<Pair>(conv3.out_channels),
        })
    }

    fn enter(
        &self,
        input: &mut Aligned<Pair>,
        first: usize,
        num_images: usize,
        x: &mut Activations<Pair>,
    ) {
        let first = first * self.places.len();
        let num_pixels = num_images * self.places.len();
        if first == 0 {
            self.clear(num_pixels, &mut x.reduced);
        }
        self.reduce(first, input, &mut x.reduced);
        if self.shortcut_len.is_some() {
            self.keep_shown(first, num_pixels, input, &mut x.shortcut);
        } else {
            let values = x.values.resized(num_pixels * self.in_stride);
            values[first * self.in_stride..][..input.len()].copy_from_slice(input);
        }
    }

    fn forward(blocks: &[Self], x: &mut Activations<Pair>, _scratch: &mut ()) {
        let Some(first) = blocks.first() else { return };
        let mut num_pixels = first.num_pixels(x);
        for (index, block) in blocks.iter().enumerate() {
            if index > 0 && block.shortcut_len.is_some() {
                block.keep_shown(0, num_pixels, &mut x.values, &mut x.shortcut);
            }
            num_pixels /= block.padding.stride * block.padding.stride;
            block.convolve(num_pixels, x);
            block.expand(blocks.get(index + 1), num_pixels, x);
        }
    }
}

impl TileBlock {
    /// Pixels of the input that has entered.
    fn num_pixels(&self, x: &Activations<Pair>) -> usize {
        match self.shortcut_len {
            Some(_) => x.shortcut.len() / self.in_stride * self.padding.stride.pow(2),
            None => x.values.len() / self.in_stride,
        }
    }

    /// Writes the zeros between which the first convolution puts so many pixels.
    fn clear(&self, num_pixels: usize, reduced: &mut Aligned<Pair>) {
        self.padding.clear(reduced.resized(self.padding.len(num_pixels / self.places.len())));
    }

    /// Keeps of an input, of `num_pixels` with those of other images, what a convolution on the shortcut
    /// takes. Pixels that lie close together fill tiles, also where lines are short.
    fn keep_shown(
        &self,
        first: usize,
        num_pixels: usize,
        input: &mut Aligned<Pair>,
        shortcut: &mut Aligned<Pair>,
    ) {
        let (len, Padding { side, stride, .. }) = (self.in_stride, self.padding);
        if stride == 1 && input.len() == num_pixels * len {
            return mem::swap(input, shortcut);
        }
        let num_shown = num_pixels / (stride * stride);
        let shortcut = shortcut.resized(num_shown * len);
        let lines = input.chunks_exact(side * len).step_by(stride);
        let pixels = lines.flat_map(|line| line.chunks_exact(len).step_by(stride));
        let kept = shortcut[first / (stride * stride) * len..].chunks_exact_mut(len);
        for (pixel, kept) in pixels.zip(kept) {
            kept.copy_from_slice(pixel);
        }
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
        let values = x.values.resized(num_pixels * out_stride);
        let part_len = PART_BYTES / (size_of::<Pair>() * out_stride);
        for first in (0..num_pixels).step_by(part_len) {
            let part = first..num_pixels.min(first + part_len);
            let out = &mut values[part.start * out_stride..part.end * out_stride];
            let convolved = &x.convolved[part.start * width..part.end * width];
            let rows = Contiguous { values: convolved, row_len: width };
            if let Some(len) = self.shortcut_len {
                let Product { arithmetic, ref weights, ref bias, .. } = self.expand;
                let row_len = self.in_stride;
                let values = &x.shortcut[part.start * row_len..part.end * row_len];
                let ends = Ends { rows: Contiguous { values, row_len }, len };
                let epilogue = Epilogue { bias, add: false, relu: true };
                arithmetic.multiply_with_ends(&rows, ends, weights, epilogue, out);
            } else {
                self.expand.add_relu(&rows, out);
            }
            if let Some(next) = next {
                next.reduce(part.start, out, &mut x.reduced);
            }
        }
    }
}
