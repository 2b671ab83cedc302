//! Trains an image classifier by transfer learning on a CPU machine.

pub mod config;
pub mod error;

pub mod data;
pub mod model;
pub mod sample;

pub use error::{Error, Result};
