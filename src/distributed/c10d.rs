//! c10d's store and process group, which only a program that is linked with libtorch has.

#[cfg(feature = "torch")]
mod libtorch;

use std::fmt::Debug;
use std::sync::OnceLock;
use std::time::Duration;

use crate::error::{Error, Result};

#[cfg(feature = "torch")]
pub use libtorch::LibtorchStore;

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

/// A connection to a `TCPStore`: small values under names, for all processes of a run. It lives as
/// long as the process, as does the server where this process is the one that keeps it.
pub trait Store: Debug + Send {
    /// Puts `bytes` under `key`.
    ///
    /// # Errors
    /// [`Error::Internal`] when the server is gone.
    fn set(&self, key: &str, bytes: &[u8]) -> Result<()>;

    /// Puts `bytes` under `key` unless something is there, and returns what is there then.
    ///
    /// # Errors
    /// As [`Store::set`].
    fn set_if_absent(&self, key: &str, bytes: &[u8]) -> Result<Vec<u8>>;

    /// Whether something is under `key`.
    ///
    /// # Errors
    /// As [`Store::set`].
    fn is_set(&self, key: &str) -> Result<bool>;

    /// What is under each of `keys`; waits for those that are not there yet.
    ///
    /// # Errors
    /// As [`Store::set`]; at the timeout.
    fn get(&self, keys: &[String]) -> Result<Vec<Vec<u8>>>;

    /// Connects `rank` with the `num_ranks - 1` others, which find each other in this store below
    /// `prefix`. Listens at `address`, or, without one, where `GLOO_SOCKET_IFNAME` says. `timeout`
    /// holds for this and for every collective.
    ///
    /// # Errors
    /// [`Error::Internal`] with what c10d says, as at the timeout.
    fn group(
        &self,
        prefix: &str,
        rank: usize,
        num_ranks: usize,
        address: Option<&str>,
        timeout: Duration,
    ) -> Result<Box<dyn Group>>;
}

/// A `ProcessGroupGloo`: every rank calls the same functions in the same order. It lives as long as
/// the process: what may still hang in it when a run is given up must not be freed.
pub trait Group: Debug + Send {
    /// Processes in it.
    fn num_ranks(&self) -> usize;

    /// `[num_ranks, L]`: the `[L]` bytes of every rank, of which all have as many.
    ///
    /// # Errors
    /// [`Error::Internal`] when a rank is gone, or at the timeout.
    fn all_gather(&self, bytes: &[u8]) -> Result<Vec<u8>>;

    /// The same at `root`; elsewhere as many zeros.
    ///
    /// # Errors
    /// As [`Group::all_gather`].
    fn gather(&self, bytes: &[u8], root: usize) -> Result<Vec<u8>>;

    /// Overwrites `bytes` with those of `root`, of which all ranks have as many.
    ///
    /// # Errors
    /// As [`Group::all_gather`].
    fn broadcast(&self, bytes: &mut [u8], root: usize) -> Result<()>;
}

/// Connects with a store, or opens it where this process is the server.
pub type Connect = fn(&Endpoint) -> Result<Box<dyn Store>>;

/// Set once by a program that is linked with libtorch.
pub static CONNECT: OnceLock<Connect> = OnceLock::new();

/// Connects, or opens the store where this process is the server.
///
/// # Errors
/// [`Error::Internal`] with what c10d says, as when the port is taken, or at the timeout;
/// [`Error::NotLinked`].
pub fn connect(endpoint: &Endpoint) -> Result<Box<dyn Store>> {
    let connect = CONNECT
        .get()
        .ok_or_else(|| Error::NotLinked { what: "cannot train on several machines".into() })?;
    connect(endpoint)
}
