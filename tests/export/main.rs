//! `ec2train export`, with the real binary.
#![allow(clippy::unwrap_used)]

#[path = "../common/mod.rs"]
mod common;

mod faults;
mod files;
mod onnx;
mod safetensors;
#[cfg(feature = "torch")]
mod torchscript;
