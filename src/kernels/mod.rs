//! What the CPU does best: the inner loops of a convolutional network.
//!
//! Activations are `[N, H, W, C]`, row by row, so that a pixel's channels are contiguous. Every sum
//! is taken in one order whatever the vectors' width, the batch and the number of threads: results
//! are equal bit by bit.

// Plain indices unroll into registers; chains of iterators do not always.
#![allow(clippy::needless_range_loop)]

pub mod aligned;
#[cfg(all(feature = "native", target_arch = "x86_64"))]
pub mod amx;
pub mod arithmetic;
#[cfg(target_arch = "x86_64")]
pub(crate) mod avx2;
#[cfg(all(feature = "native", target_arch = "x86_64"))]
pub mod bf16;
mod cap;
pub mod fetch;
pub mod gemm;
pub mod gemm_transposed;
#[cfg(all(feature = "native", target_arch = "x86_64"))]
pub mod int16;
pub mod isa;
pub mod lines;
mod packing;
#[cfg(all(feature = "native", target_arch = "x86_64"))]
pub mod pairs;
pub mod panels;
pub mod pool;
pub mod winograd;
