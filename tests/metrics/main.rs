//! What a run leaves for other programs to plot, with the real binary.
#![allow(clippy::unwrap_used)]

#[path = "../common/mod.rs"]
mod common;

mod event_file;
mod faults;
mod formats;
