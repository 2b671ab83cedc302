//! Fitting the head on features.

pub mod fit;
mod optimizer;
mod scaling;
pub mod schedule;
