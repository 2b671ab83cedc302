//! c10d's store and process group.

#[cfg_attr(feature = "torch", path = "libtorch.rs")]
#[cfg_attr(not(feature = "torch"), path = "absent.rs")]
mod implementation;

pub use implementation::{Group, Store};

use std::time::Duration;

/// Which store a process connects to.
#[derive(Debug, Clone, Copy)]
pub struct Endpoint<'a> {
    /// A name or an address.
    pub host: &'a str,
    /// TCP.
    pub port: u16,
    /// Whether this process keeps the store itself, for all addresses of its machine.
    pub is_server: bool,
    /// Processes that the server waits for and clients announce themselves to, as Python's
    /// `TCPStore(world_size=...)`; without it nobody waits.
    pub num_workers: Option<usize>,
    /// For connecting, and for each request that waits.
    pub timeout: Duration,
}
