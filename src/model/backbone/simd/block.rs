//! A bottleneck.

use super::convolution::{Conv3x3, Downsample, Product, Scratch};
use super::network::ResidualBlock;
use super::{Activations, stride_of};
use crate::error::Result;
use crate::kernels::aligned::Aligned;
use crate::kernels::arithmetic::F32Products;
use crate::kernels::fetch::fetch;
use crate::kernels::gemm::Contiguous;
use crate::model::resnet::Bottleneck;
use crate::model::state_dict::TensorSource;

/// Bytes of a block's output that are computed before what follows of them: they stay in the L2 cache,
/// 512 KiB at least on servers since 2017.
const PART_BYTES: usize = 256 << 10;

/// A bottleneck whose 3x3 convolution is Winograd's where it can be.
#[derive(Debug)]
pub struct Block<A: F32Products> {
    reduce: Product<A>,
    convolve: Conv3x3<A>,
    expand: Product<A>,
    downsample: Option<Downsample<A>>,
    /// Of the input.
    side: usize,
    /// Of the 3x3 convolution.
    stride: usize,
    /// From a pixel of the input to the next, and of the output.
    in_stride: usize,
    out_stride: usize,
}

impl<A: F32Products> ResidualBlock<A> for Block<A> {
    type Scratch = Scratch<A::Value>;

    fn new(
        arithmetic: A,
        tensors: &dyn TensorSource,
        block: &Bottleneck,
        side: usize,
    ) -> Result<Self> {
        let [conv1, conv2, conv3] = &block.convs;
        let product = |conv| Product::new(arithmetic, tensors, conv);
        let downsample = |conv| Downsample::new(arithmetic, tensors, conv, side);
        Ok(Block {
            reduce: product(conv1)?,
            convolve: Conv3x3::new(arithmetic, tensors, conv2, side)?,
            expand: product(conv3)?,
            downsample: block.downsample.as_ref().map(downsample).transpose()?,
            side,
            stride: conv2.stride,
            in_stride: stride_of::<A::Value>(conv1.in_channels),
            out_stride: stride_of::<A::Value>(conv3.out_channels),
        })
    }

    fn enter(
        &self,
        input: &mut Aligned<A::Value>,
        first: usize,
        num_images: usize,
        x: &mut Activations<A::Value>,
    ) {
        let image_len = self.side * self.side * self.in_stride;
        if input.len() == num_images * image_len {
            std::mem::swap(input, &mut x.values);
        } else {
            let values = x.values.resized(num_images * image_len);
            values[first * image_len..][..input.len()].copy_from_slice(input);
        }
    }

    fn forward(blocks: &[Self], x: &mut Activations<A::Value>, scratch: &mut Self::Scratch) {
        if let Some(first) = blocks.first() {
            first.reduce(x);
        }
        for (index, block) in blocks.iter().enumerate() {
            block.convolve(x, scratch);
            block.expand(blocks.get(index + 1), x);
        }
    }
}

impl<A: F32Products> Block<A> {
    /// The first convolution, for all pixels.
    fn reduce(&self, x: &mut Activations<A::Value>) {
        let inputs = Contiguous { values: &x.values, row_len: self.in_stride };
        let len = x.values.len() / self.in_stride * self.reduce.out_len;
        self.reduce.forward(&inputs, true, x.reduced.resized(len));
    }

    /// The 3x3 convolution, for all pixels.
    fn convolve(&self, x: &mut Activations<A::Value>, scratch: &mut Scratch<A::Value>) {
        let len = x.reduced.len() / (self.stride * self.stride);
        let convolved = x.convolved.resized(len);
        self.convolve.forward(&x.reduced, scratch, convolved);
    }

    /// The last convolution with the shortcut around the block, and the first one of the block after
    /// it: some pixels at a time, so that these are still in the cache when they are needed again.
    fn expand(&self, next: Option<&Block<A>>, x: &mut Activations<A::Value>) {
        let (width, out_stride) = (self.reduce.out_len, self.out_stride);
        let num_pixels = x.convolved.len() / width;
        let next_width = next.map_or(0, |next| next.reduce.out_len);
        x.reduced.resized(num_pixels * next_width);
        if self.downsample.is_some() {
            x.shortcut.resized(num_pixels * out_stride);
            std::mem::swap(&mut x.values, &mut x.shortcut);
        }
        let part_len = PART_BYTES / (size_of::<A::Value>() * out_stride);
        for first in (0..num_pixels).step_by(part_len) {
            let part = first..num_pixels.min(first + part_len);
            let out = &mut x.values[part.start * out_stride..part.end * out_stride];
            fetch(out);
            if let Some(downsample) = &self.downsample {
                downsample.forward(&x.shortcut, part.clone(), out);
            }
            let convolved = &x.convolved[part.start * width..part.end * width];
            self.expand.add_relu(&Contiguous { values: convolved, row_len: width }, out);
            if let Some(next) = next {
                let inputs = Contiguous { values: out, row_len: out_stride };
                let reduced = &mut x.reduced[part.start * next_width..part.end * next_width];
                next.reduce.forward(&inputs, true, reduced);
            }
        }
    }
}
