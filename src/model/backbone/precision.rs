//! What the fused convolutions compute in.

use std::fmt;

/// What weights and activations are kept in. Sums are taken in f32 in either.
///
/// In bf16 each of these is rounded to nearest even, once: pixels, folded weights and biases, and
/// each convolution's result after bias, residual and relu. The pooled features are the f32 means
/// of bf16 values and are not rounded again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Precision {
    /// 24 bits of mantissa.
    Fp32,
    /// 8 bits of mantissa; what AMX multiplies.
    Bf16,
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Precision::Fp32 => "fp32",
            Precision::Bf16 => "bf16",
        })
    }
}
