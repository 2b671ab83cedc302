//! Fitting the head on features.

pub mod fit;
pub mod schedule;
