//! The engines of the backbone against torchvision, with weights that both compute from one
//! formula.
#![allow(clippy::unwrap_used)]

mod formula;
#[cfg(feature = "torch")]
mod libtorch;
#[cfg(feature = "torch")]
mod onednn;
mod simd;
