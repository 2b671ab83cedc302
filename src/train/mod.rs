//! Fitting the head on features.

pub mod checkpoint;
pub mod fit;
mod optimizer;
mod scaling;
pub mod schedule;
pub mod search;
pub mod temperature;
mod update;
