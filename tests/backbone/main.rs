//! The engines of the backbone against torchvision, with weights that both compute from one
//! formula.
#![cfg(feature = "torch")]
#![allow(clippy::unwrap_used)]

mod formula;
mod libtorch;
mod onednn;
