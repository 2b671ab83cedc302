//! Plots as SVG that takes its colours from the page.

mod balance;
mod chart;
mod curves;
mod machine;
mod reliability;

pub(super) use balance::class_balance;
pub(super) use curves::learning_curves;
pub(super) use machine::{cpu, memory};
pub(super) use reliability::reliability;
