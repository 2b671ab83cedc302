//! Trains an image classifier by transfer learning on a CPU machine.

pub mod config;
pub mod error;

pub mod fetch;

pub mod data;
pub mod model;

pub use error::{Error, Result};
