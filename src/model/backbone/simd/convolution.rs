//! The convolutions of a block.

use super::rows::{TapRows, Taps};
use crate::error::Result;
use crate::kernels::arithmetic::{Arithmetic, Value};
use crate::kernels::gemm::{Epilogue, Rows};
use crate::kernels::winograd::{self, Winograd};
use crate::model::fold::{FoldedConv, fold};
use crate::model::resnet::ConvNorm;
use crate::model::state_dict::StateDict;

/// A convolution as one matrix product.
#[derive(Debug)]
pub(super) struct Product<A: Arithmetic> {
    arithmetic: A,
    weights: A::Weights,
    /// `[out]` f32.
    bias: Vec<f32>,
    /// Values of an output pixel.
    pub(super) out_len: usize,
}

impl<A: Arithmetic> Product<A> {
    pub(super) fn new(arithmetic: A, state_dict: &StateDict, conv: &ConvNorm) -> Result<Self> {
        let folded = fold(state_dict, conv)?;
        let weights = packed(arithmetic, conv, &folded);
        let out_len = conv.out_channels / A::Value::CHANNELS;
        Ok(Product { arithmetic, weights, bias: folded.bias, out_len })
    }

    /// Overwrites `out` by the convolution of `rows`.
    pub(super) fn forward(&self, rows: &impl Rows<A::Value>, relu: bool, out: &mut [A::Value]) {
        let epilogue = Epilogue { bias: &self.bias, add: false, relu };
        self.arithmetic.multiply(rows, &self.weights, epilogue, out);
    }

    /// Adds the convolution of `rows` to `out`; negative sums become zero.
    pub(super) fn add_relu(&self, rows: &impl Rows<A::Value>, out: &mut [A::Value]) {
        let epilogue = Epilogue { bias: &self.bias, add: true, relu: true };
        self.arithmetic.multiply(rows, &self.weights, epilogue, out);
    }
}

/// The weights of a convolution as a product's. A segment is a pixel of the kernel.
fn packed<A: Arithmetic>(arithmetic: A, conv: &ConvNorm, folded: &FoldedConv) -> A::Weights {
    let (in_channels, num_pixels) = (conv.in_channels, conv.kernel * conv.kernel);
    arithmetic.pack(num_pixels, in_channels, conv.out_channels, |pixel, input, output| {
        folded.weight[(output * in_channels + input) * num_pixels + pixel]
    })
}

/// A 3x3 convolution with its ReLU.
#[derive(Debug)]
pub(super) enum Conv3x3<A: Arithmetic> {
    Winograd(Winograd<A>),
    Strided { product: Product<A>, taps: Taps<A::Value> },
}

impl<A: Arithmetic> Conv3x3<A> {
    pub(super) fn new(
        arithmetic: A,
        state_dict: &StateDict,
        conv: &ConvNorm,
        side: usize,
    ) -> Result<Self> {
        if conv.stride == 1 {
            let FoldedConv { weight, bias } = fold(state_dict, conv)?;
            let (num_in, num_out) = (conv.in_channels, conv.out_channels);
            return Ok(Conv3x3::Winograd(Winograd::new(
                arithmetic, num_in, num_out, &weight, &bias,
            )));
        }
        let taps = Taps::new(side, conv.stride, conv.in_channels / A::Value::CHANNELS);
        Ok(Conv3x3::Strided { product: Product::new(arithmetic, state_dict, conv)?, taps })
    }

    pub(super) fn forward(
        &self,
        input: &[A::Value],
        side: usize,
        scratch: &mut winograd::Scratch<A::Value>,
        out: &mut [A::Value],
    ) {
        match self {
            Conv3x3::Winograd(winograd) => winograd.forward(input, side, scratch, out),
            Conv3x3::Strided { product, taps } => {
                product.forward(&TapRows { input, taps }, true, out);
            }
        }
    }
}
