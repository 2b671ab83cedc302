//! Runs on an EC2 instance, of which a stub plays the metadata service, and on a throttled machine.
#![allow(clippy::unwrap_used)]

#[path = "../common/mod.rs"]
mod common;
mod process;
mod service;

mod client;
mod run;
