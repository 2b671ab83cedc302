//! Several processes that train one model, with the real binary on a part of the built-in sample.
#![allow(clippy::unwrap_used)]
#![cfg(feature = "torch")]

#[path = "../common/mod.rs"]
mod common;

mod failure;
mod loss;
mod ranks;
mod refusal;
