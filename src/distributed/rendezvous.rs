//! Where the processes of a run find each other.

use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::thread;
use std::time::{Duration, Instant};

use super::c10d::{self, Endpoint, Store};
use super::peer::Peer;
use super::topology::Topology;
use crate::config::RENDEZVOUS_TIMEOUT;
use crate::error::{Error, Result};
use crate::run::signals;

/// Between two attempts to reach rank 0.
const RETRY: Duration = Duration::from_secs(1);
/// Between two lines in the log about what is waited for.
const LINE_INTERVAL: Duration = Duration::from_secs(10);
/// Between two looks for others.
const PAUSE: Duration = Duration::from_millis(50);
/// For a request to the store that is there already.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// The store, and who is there.
pub(super) struct Meeting {
    pub(super) store: Box<dyn Store>,
    /// Where the store is, for another connection to it.
    pub(super) master: String,
    /// By rank.
    pub(super) peers: Vec<Peer>,
}

/// Opens the store at rank 0, connects to it elsewhere, and waits until every rank has come. `before`
/// is called with the store before this rank shows itself.
///
/// # Errors
/// [`Error::Peer`] when rank 0 cannot be reached or ranks are missing after [`RENDEZVOUS_TIMEOUT`],
/// or another process has taken this rank; [`Error::Stopped`].
pub(super) fn meet(
    topology: &Topology,
    before: impl FnOnce(&dyn Store) -> Result<()>,
) -> Result<Meeting> {
    let deadline = Instant::now() + RENDEZVOUS_TIMEOUT;
    let is_server = topology.rank == 0 && !topology.has_agent;
    let (master, address) = if is_server {
        ("127.0.0.1".to_owned(), None)
    } else {
        let reached = reach(topology, deadline)?;
        (reached.master.to_string(), Some(reached))
    };
    let store = c10d::connect(&Endpoint {
        host: &master,
        port: topology.master_port,
        is_server,
        num_workers: None,
        timeout: REQUEST_TIMEOUT,
    })
    .map_err(|error| refused(topology, is_server, &error))?;
    before(&*store)?;
    let own = Peer {
        rank: topology.rank,
        host: topology.host.clone(),
        pid: std::process::id(),
        address: address.as_ref().map(|reached| reached.own),
        master: address.as_ref().map(|reached| reached.master),
    };
    show(&*store, topology, &own)?;
    let peers = wait_for_all(&*store, topology, deadline)?;
    Ok(Meeting { store, master, peers })
}

/// The key of something that belongs to `rank`; starts by torchrun do not see each other's.
pub(super) fn key(topology: &Topology, what: &str, rank: usize) -> String {
    format!("ec2train/{}/{what}/{rank}", topology.attempt)
}

/// The address at which this rank listens for others. On the machine of rank 0 it is the one at which the
/// others reach that machine, which does not see itself from outside.
pub(super) fn own_address(rank: usize, peers: &[Peer]) -> IpAddr {
    let own = peers.get(rank).and_then(|peer| peer.address);
    let seen = || peers.iter().filter_map(|peer| peer.master).find(|it| !it.is_loopback());
    let own = own.filter(|address| !address.is_loopback()).or_else(seen);
    own.unwrap_or(IpAddr::from([127, 0, 0, 1]))
}

/// Both ends of a connection to rank 0's machine.
struct Reached {
    own: IpAddr,
    master: IpAddr,
}

/// Tries until the name resolves and something listens there.
fn reach(topology: &Topology, deadline: Instant) -> Result<Reached> {
    let Topology { master_addr, master_port, .. } = topology;
    let mut line_due = Instant::now();
    loop {
        signals::check()?;
        let why = match attempt(master_addr, *master_port) {
            Ok(reached) => return Ok(reached),
            Err(why) => why,
        };
        if Instant::now() >= deadline {
            return Err(Error::Peer {
                peer: format!("rank 0 ({master_addr})"),
                reason: format!(
                    "cannot be reached at port {master_port} after {} s: {why}",
                    RENDEZVOUS_TIMEOUT.as_secs()
                ),
                remedy: format!(
                    "Start the process with RANK=0 on that machine, and let its security group admit \
                     the others at port {master_port}."
                ),
            });
        }
        if Instant::now() >= line_due {
            log::info!("waiting for rank 0 ({master_addr}, port {master_port}): {why}");
            line_due = Instant::now() + LINE_INTERVAL;
        }
        pause(RETRY)?;
    }
}

fn attempt(host: &str, port: u16) -> std::io::Result<Reached> {
    let mut last = std::io::Error::other("the name has no address");
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, RETRY).and_then(|stream| ends(&stream)) {
            Ok((own, master)) if own != master => {
                return Ok(Reached { own: own.ip(), master: master.ip() });
            }
            // Linux connects a port of its own with itself when nobody listens there.
            Ok(_) => last = std::io::ErrorKind::ConnectionRefused.into(),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn ends(stream: &TcpStream) -> std::io::Result<(SocketAddr, SocketAddr)> {
    Ok((stream.local_addr()?, stream.peer_addr()?))
}

fn refused(topology: &Topology, is_server: bool, error: &Error) -> Error {
    let Topology { master_addr, master_port, .. } = topology;
    let (reason, remedy) = if is_server {
        (
            "cannot open port",
            "Another run may use it: `ss -ltnp` shows it. Set another MASTER_PORT.",
        )
    } else {
        (
            "does not answer as a store at port",
            "Another program may listen there: check MASTER_PORT.",
        )
    };
    match error {
        Error::Internal(why) => Error::Peer {
            peer: format!("rank 0 ({master_addr})"),
            reason: format!("{reason} {master_port}: {why}"),
            remedy: remedy.into(),
        },
        // Without libtorch.
        Error::Usage { reason, remedy } => {
            Error::Usage { reason: reason.clone(), remedy: remedy.clone() }
        }
        other => Error::Internal(other.to_string()),
    }
}

fn show(store: &dyn Store, topology: &Topology, own: &Peer) -> Result<()> {
    let written = to_json(own)?;
    let there = store.set_if_absent(&key(topology, "peer", own.rank), &written)?;
    if there == written {
        return Ok(());
    }
    let other = String::from_utf8_lossy(&there).into_owned();
    let other = serde_json::from_slice::<Peer>(&there)
        .map_or(other, |peer| format!("process {} on {}", peer.pid, peer.host));
    Err(Error::Peer {
        peer: format!("rank {}", own.rank),
        reason: format!("is already taken, by {other}"),
        remedy:
            "Give each process a RANK of its own. After one has ended, start all of them again."
                .into(),
    })
}

fn wait_for_all(store: &dyn Store, topology: &Topology, deadline: Instant) -> Result<Vec<Peer>> {
    let keys: Vec<String> =
        (0..topology.world_size).map(|rank| key(topology, "peer", rank)).collect();
    let mut line_due = Instant::now() + LINE_INTERVAL;
    loop {
        let mut missing = Vec::new();
        for (rank, key) in keys.iter().enumerate() {
            if !store.is_set(key)? {
                missing.push(rank);
            }
        }
        if missing.is_empty() {
            break;
        }
        let ranks = join(&missing);
        if Instant::now() >= deadline {
            return Err(Error::Peer {
                peer: ranks,
                reason: format!(
                    "did not come to {} within {} s",
                    topology.master_addr,
                    RENDEZVOUS_TIMEOUT.as_secs()
                ),
                remedy:
                    "Start them with the same MASTER_ADDR, MASTER_PORT and WORLD_SIZE; then start \
                         this one again."
                        .into(),
            });
        }
        if Instant::now() >= line_due {
            log::info!("waiting for {ranks} of {}", topology.world_size);
            line_due = Instant::now() + LINE_INTERVAL;
        }
        pause(PAUSE)?;
    }
    let read = |bytes: &Vec<u8>| {
        serde_json::from_slice(bytes)
            .map_err(|error| Error::Internal(format!("a peer cannot be understood: {error}")))
    };
    store.get(&keys)?.iter().map(read).collect()
}

/// As in `ranks 1, 3`.
fn join(ranks: &[usize]) -> String {
    let name = if ranks.len() == 1 { "rank" } else { "ranks" };
    let ranks: Vec<String> = ranks.iter().map(usize::to_string).collect();
    format!("{name} {}", ranks.join(", "))
}

fn to_json(peer: &Peer) -> Result<Vec<u8>> {
    serde_json::to_vec(peer).map_err(|error| Error::Internal(format!("cannot write JSON: {error}")))
}

/// Waits, but no longer than until the run is asked to end.
pub(super) fn pause(duration: Duration) -> Result<()> {
    let until = Instant::now() + duration;
    loop {
        signals::check()?;
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        thread::sleep(left.min(PAUSE));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_the_machine_of_rank_0_the_address_is_the_one_that_others_see() {
        let peer = |rank, address: Option<[u8; 4]>, master: Option<[u8; 4]>| Peer {
            rank,
            host: format!("host-{rank}"),
            pid: 1,
            address: address.map(IpAddr::from),
            master: master.map(IpAddr::from),
        };
        let [loopback, first, second] = [[127, 0, 0, 1], [10, 0, 0, 1], [10, 0, 0, 2]];
        let one_machine = [peer(0, None, None), peer(1, Some(loopback), Some(loopback))];
        for rank in 0..2 {
            assert_eq!(own_address(rank, &one_machine), IpAddr::from(loopback));
        }
        let two = [&one_machine[..], &[peer(2, Some(second), Some(first))]].concat();
        let addresses = [0, 1, 2].map(|rank| own_address(rank, &two));
        assert_eq!(addresses, [first, first, second].map(IpAddr::from));
    }
}
