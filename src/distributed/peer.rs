//! What a process tells the others of itself when it joins.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// A process of the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Peer {
    pub(super) rank: usize,
    pub(super) host: String,
    pub(super) pid: u32,
    /// From which it reaches rank 0; `None` of rank 0 itself.
    pub(super) address: Option<IpAddr>,
    /// At which it reaches rank 0.
    pub(super) master: Option<IpAddr>,
}

/// As in `rank 2 (algo-3)`.
impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rank {} ({})", self.rank, self.host)
    }
}
