//! Running unattended.

pub mod console;
pub mod host;
pub mod lock;
pub mod status;
