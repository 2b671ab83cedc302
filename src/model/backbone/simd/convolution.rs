//! The convolutions of a block.

use std::fmt::Debug;

use super::padded::Padded;
use crate::error::Result;
#[cfg(all(feature = "native", target_arch = "x86_64"))]
use crate::kernels::amx::Amx;
use crate::kernels::arithmetic::{Arithmetic, F32Products, Value};
#[cfg(all(feature = "native", target_arch = "x86_64"))]
use crate::kernels::bf16::Bf16;
use crate::kernels::gemm::{Epilogue, Rows};
use crate::kernels::isa::Isa;
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

/// A 3x3 convolution with its ReLU, for images of a given size.
pub trait Conv3x3<A: Arithmetic>: Debug + Sized + Send + Sync {
    /// Buffers that are reused from call to call.
    type Scratch: Debug + Default;

    /// Takes `conv` of `state_dict` for images of `side` pixels a side.
    ///
    /// # Errors
    /// When a tensor is missing.
    fn new(arithmetic: A, state_dict: &StateDict, conv: &ConvNorm, side: usize) -> Result<Self>;

    /// Convolves `input`, `[N, side, side, in]`, to `out`.
    fn forward(&self, input: &[A::Value], scratch: &mut Self::Scratch, out: &mut [A::Value]);
}

/// What a network is computed with.
pub trait Network: Arithmetic {
    /// How 3x3 convolutions with stride 1 are computed.
    type Unstrided: Conv3x3<Self>;
}

impl Network for Isa {
    type Unstrided = Winograd3x3<Isa>;
}

#[cfg(all(feature = "native", target_arch = "x86_64"))]
impl Network for Bf16 {
    type Unstrided = Winograd3x3<Bf16>;
}

/// Its tiles multiply sixteen times as fast as vectors, which the transforms of Winograd's way would have to
/// be computed with.
#[cfg(all(feature = "native", target_arch = "x86_64"))]
impl Network for Amx {
    type Unstrided = Padded<Amx>;
}

/// With a quarter of the multiplications.
#[derive(Debug)]
pub struct Winograd3x3<A: F32Products> {
    winograd: Winograd<A>,
    side: usize,
}

impl<A: F32Products> Conv3x3<A> for Winograd3x3<A> {
    type Scratch = winograd::Scratch<A::Value>;

    fn new(arithmetic: A, state_dict: &StateDict, conv: &ConvNorm, side: usize) -> Result<Self> {
        let FoldedConv { weight, bias } = fold(state_dict, conv)?;
        let (num_in, num_out) = (conv.in_channels, conv.out_channels);
        Ok(Winograd3x3 { winograd: Winograd::new(arithmetic, num_in, num_out, &weight, &bias), side })
    }

    fn forward(&self, input: &[A::Value], scratch: &mut Self::Scratch, out: &mut [A::Value]) {
        self.winograd.forward(input, self.side, scratch, out);
    }
}
