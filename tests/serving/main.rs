//! The server over real connections: in this process with a model that does what a test wants, and the
//! real binary with a model that it has trained.
#![allow(clippy::unwrap_used)]

// Not all of it.
#[allow(dead_code)]
#[path = "../common/mod.rs"]
mod common;

mod batching;
mod client;
mod fake_model;
mod faults;
mod formats;
mod health;
mod limits;
mod program;
mod server;
mod shutdown;
mod urls;
