//! Running unattended.

pub mod console;
pub mod cpu_time;
pub mod ec2;
pub mod heap;
pub mod host;
pub mod lock;
pub mod priority;
pub mod recorder;
pub mod signals;
pub mod status;
mod terminal;
pub mod throttle;
pub mod timeline;
pub mod watch;
