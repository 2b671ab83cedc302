//! Running unattended.

pub mod console;
pub mod cpu_time;
pub mod host;
pub mod lock;
pub mod signals;
pub mod status;
mod terminal;
