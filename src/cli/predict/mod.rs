//! `ec2train predict PATH...`

mod command;
mod format;
mod inputs;

pub use command::{Arguments, run};
