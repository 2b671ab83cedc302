//! Runs that are killed, stopped, started twice, or find bad files and full disks, with the real binary.
#![allow(clippy::unwrap_used)]

#[path = "../common/mod.rs"]
mod common;

mod bad_input;
mod disk;
mod kill;
mod promotion;
mod run;
mod start;
mod stop;
mod terminal;
