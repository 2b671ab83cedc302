//! `ec2train check` and `ec2train predict` as a user calls them, with the real binary.
#![allow(clippy::unwrap_used)]

#[path = "../common/mod.rs"]
mod common;

mod check;
mod faults;
mod pictures;
mod predict;
