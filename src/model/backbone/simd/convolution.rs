//! The convolutions of a block.

use std::ops::Range;

use super::padding::{PaddedRows, Padding};
use super::rows::Strided;
use super::stride_of;
use crate::error::Result;
use crate::kernels::aligned::Aligned;
use crate::kernels::arithmetic::{Arithmetic, F32Products, Value};
use crate::kernels::gemm::Epilogue;
use crate::kernels::lines::RowsInLines;
use crate::kernels::winograd::{self, Winograd};
use crate::model::fold::Folding;
use crate::model::resnet::ConvNorm;
use crate::model::state_dict::TensorSource;

/// A convolution as one matrix product.
#[derive(Debug)]
pub(super) struct Product<A: Arithmetic> {
    pub(super) arithmetic: A,
    pub(super) weights: A::Weights,
    /// `[out]` f32.
    pub(super) bias: Vec<f32>,
    /// Values of an output pixel.
    pub(super) out_len: usize,
}

impl<A: Arithmetic> Product<A> {
    pub(super) fn new(arithmetic: A, tensors: &dyn TensorSource, conv: &ConvNorm) -> Result<Self> {
        let mut folding = Folding::new(tensors, conv)?;
        let weights = packed(arithmetic, conv, &mut folding);
        let out_len = conv.out_channels / A::Value::CHANNELS;
        Ok(Product { arithmetic, weights, bias: folding.finish()?, out_len })
    }

    /// Two 1x1 convolutions whose outputs are added: a row has the input of one, then of the other.
    #[cfg(all(feature = "native", target_arch = "x86_64"))]
    pub(super) fn of_sum(
        arithmetic: A,
        tensors: &dyn TensorSource,
        [first, second]: [&ConvNorm; 2],
    ) -> Result<Self> {
        let mut foldings = [Folding::new(tensors, first)?, Folding::new(tensors, second)?];
        let depth = first.in_channels + second.in_channels;
        let weights = arithmetic.pack(1, depth, first.out_channels, |output, row| {
            let (begin, end) = row.split_at_mut(first.in_channels);
            foldings[0].row(output, begin);
            foldings[1].row(output, end);
        });
        let [first_bias, second_bias] = foldings.map(Folding::finish);
        let biases = first_bias?.into_iter().zip(second_bias?);
        let bias = biases.map(|(first, second)| first + second).collect();
        Ok(Product { arithmetic, weights, bias, out_len: first.out_channels / A::Value::CHANNELS })
    }

    /// Overwrites `out` by the convolution of `rows`.
    pub(super) fn forward(
        &self,
        rows: &impl RowsInLines<A::Value>,
        relu: bool,
        out: &mut [A::Value],
    ) {
        let epilogue = Epilogue { bias: &self.bias, add: false, relu };
        self.arithmetic.multiply(rows, &self.weights, epilogue, out);
    }

    /// Adds the convolution of `rows` to `out`; negative sums become zero.
    pub(super) fn add_relu(&self, rows: &impl RowsInLines<A::Value>, out: &mut [A::Value]) {
        let epilogue = Epilogue { bias: &self.bias, add: true, relu: true };
        self.arithmetic.multiply(rows, &self.weights, epilogue, out);
    }
}

/// The weights of a convolution as a product's. A segment is a pixel of the kernel.
fn packed<A: Arithmetic>(arithmetic: A, conv: &ConvNorm, folding: &mut Folding) -> A::Weights {
    let (in_channels, num_pixels) = (conv.in_channels, conv.kernel * conv.kernel);
    let mut kernels = vec![0.0; in_channels * num_pixels];
    arithmetic.pack(num_pixels, in_channels, conv.out_channels, |output, row| {
        if num_pixels == 1 {
            return folding.row(output, row);
        }
        folding.row(output, &mut kernels);
        for (pixel, segment) in row.chunks_exact_mut(in_channels).enumerate() {
            for (value, kernel) in segment.iter_mut().zip(kernels.chunks_exact(num_pixels)) {
                *value = kernel[pixel];
            }
        }
    })
}

/// The 1x1 convolution of the shortcut around a block, for images of a given size.
#[derive(Debug)]
pub(super) struct Downsample<A: Arithmetic> {
    product: Product<A>,
    /// Of the input.
    side: usize,
    stride: usize,
    /// From a pixel of the input to the next.
    in_stride: usize,
}

impl<A: Arithmetic> Downsample<A> {
    pub(super) fn new(
        arithmetic: A,
        tensors: &dyn TensorSource,
        conv: &ConvNorm,
        side: usize,
    ) -> Result<Self> {
        let product = Product::new(arithmetic, tensors, conv)?;
        let in_stride = stride_of::<A::Value>(conv.in_channels);
        Ok(Downsample { product, side, stride: conv.stride, in_stride })
    }

    /// Writes some pixels of the output, of all images' `values`.
    pub(super) fn forward(&self, values: &[A::Value], pixels: Range<usize>, out: &mut [A::Value]) {
        let Downsample { side, stride, in_stride: pixel_stride, .. } = *self;
        let rows = Strided { values, side, stride, pixel_stride, pixels };
        self.product.forward(&rows, false, out);
    }
}

/// A 3x3 convolution with its ReLU, for images of a given size.
#[derive(Debug)]
pub(super) enum Conv3x3<A: F32Products> {
    Winograd {
        winograd: Winograd<A>,
        side: usize,
    },
    Strided {
        product: Product<A>,
        padding: Padding,
        /// [`Padding::places`]
        places: Vec<u32>,
    },
}

/// Buffers that are reused from call to call.
#[derive(Debug, Default)]
pub struct Scratch<V> {
    winograd: winograd::Scratch<V>,
    /// The input with zeros around it.
    padded: Aligned<V>,
}

impl<A: F32Products> Conv3x3<A> {
    pub(super) fn new(
        arithmetic: A,
        tensors: &dyn TensorSource,
        conv: &ConvNorm,
        side: usize,
    ) -> Result<Self> {
        if conv.stride == 1 {
            let mut folding = Folding::new(tensors, conv)?;
            let (num_in, num_out) = (conv.in_channels, conv.out_channels);
            let bias = folding.bias().to_vec();
            let row = |output, row: &mut [f32]| folding.row(output, row);
            let winograd = Winograd::new(arithmetic, num_in, num_out, row, &bias);
            folding.finish()?;
            return Ok(Conv3x3::Winograd { winograd, side });
        }
        let pixel_len = conv.in_channels / A::Value::CHANNELS;
        let padding = Padding { side, stride: conv.stride, pixel_len };
        let product = Product::new(arithmetic, tensors, conv)?;
        Ok(Conv3x3::Strided { product, padding, places: padding.places() })
    }

    pub(super) fn forward(
        &self,
        input: &[A::Value],
        scratch: &mut Scratch<A::Value>,
        out: &mut [A::Value],
    ) {
        match self {
            Conv3x3::Winograd { winograd, side } => {
                winograd.forward(input, *side, &mut scratch.winograd, out);
            }
            Conv3x3::Strided { product, padding, places } => {
                let pixel_len = padding.pixel_len;
                let num_images = input.len() / (places.len() * pixel_len);
                let padded = scratch.padded.resized(padding.len(num_images));
                padding.clear(padded);
                let images = padded.chunks_exact_mut(padding.image_len());
                for (image, pixels) in images.zip(input.chunks_exact(places.len() * pixel_len)) {
                    for (&place, pixel) in places.iter().zip(pixels.chunks_exact(pixel_len)) {
                        image[place as usize..][..pixel_len].copy_from_slice(pixel);
                    }
                }
                let num_pixels = num_images * padding.out_side() * padding.out_side();
                let (padding, segments) = (*padding, padding.segments());
                let rows = PaddedRows { padded, padding, segments, num_pixels };
                product.forward(&rows, true, out);
            }
        }
    }
}
