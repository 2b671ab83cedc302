//! The engines of the backbone against torchvision, with weights that both compute from one
//! formula.
#![allow(clippy::unwrap_used)]

#[cfg(all(feature = "native", target_arch = "x86_64"))]
mod bf16;
mod formula;
#[cfg(all(feature = "native", target_arch = "x86_64"))]
mod int16;
#[cfg(feature = "torch")]
mod libtorch;
#[cfg(feature = "torch")]
mod onednn;
mod simd;
