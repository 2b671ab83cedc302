//! The processes that train one model, and what they can do together.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::beat::{Beat, FINISHED};
use super::c10d::Group;
use super::heartbeat::Heartbeat;
use super::peer::Peer;
use super::rendezvous::{self, key, own_address, pause};
use super::topology::Topology;
use crate::error::{Error, Result};
use crate::run::signals::{self, StopReason};

/// Between two looks whether the run is to end.
const PAUSE: Duration = Duration::from_millis(5);
/// Between two lines in the log about who is waited for.
const LINE_INTERVAL: Duration = Duration::from_secs(30);
/// How long a process waits until the others know that it has ended; where it keeps the store, they learn
/// it from nowhere else.
const END_LIMIT: Duration = Duration::from_secs(10);
/// The same when it was asked to stop: less than that leaves it.
const STOP_LIMIT: Duration = Duration::from_millis(1000);
/// The same when the process is ended from outside of its work: less than [`signals`] leaves it.
const FORCED_LIMIT: Duration = Duration::from_millis(100);

/// All processes of a run. Every process calls the same functions in the same order; each returns
/// early when a process fails or is lost.
///
/// Collectives run on a thread of their own, and no pointer of theirs is freed before they end: libtorch
/// offers no way to call off what waits for a machine that is gone.
#[derive(Debug)]
pub struct ProcessGroup {
    topology: Topology,
    heartbeat: Heartbeat,
    gloo: Arc<Mutex<Box<dyn Group>>>,
    num_meetings: AtomicU64,
    num_bytes: AtomicU64,
}

impl ProcessGroup {
    /// Waits for all processes of `topology` and connects each with each other.
    ///
    /// # Errors
    /// [`Error::Peer`] naming who did not come; [`Error::Stopped`].
    pub fn join(topology: &Topology) -> Result<Self> {
        let Topology { rank, world_size, .. } = *topology;
        let meeting = rendezvous::meet(topology, |store| Heartbeat::begin(store, topology))?;
        let address = own_address(rank, &meeting.peers);
        let heartbeat = Heartbeat::start(topology, &meeting.master, meeting.peers)?;
        let forced = heartbeat.clone();
        signals::on_forced_end(move |reason| {
            let reason = format!("was stopped by {}", reason.name());
            forced.fail(&reason, FORCED_LIMIT);
        });
        let prefix = key(topology, "gloo", world_size);
        // libtorch reads the interface's name by itself.
        let address = std::env::var_os("GLOO_SOCKET_IFNAME").is_none().then_some(address);
        let timeout = timeout(topology);
        let store = meeting.store;
        let connect = move || {
            let address = address.as_ref().map(IpAddr::to_string);
            store.group(&prefix, rank, world_size, address.as_deref(), timeout)
        };
        let connected = heartbeat.waiting(|| wait_for(connect));
        let gloo = connected.map_err(|error| blame(topology, error))?;
        log::info!("rank {rank} of {world_size} is connected with all others");
        Ok(ProcessGroup {
            topology: topology.clone(),
            heartbeat,
            gloo: Arc::new(Mutex::new(gloo)),
            num_meetings: AtomicU64::new(0),
            num_bytes: AtomicU64::new(0),
        })
    }

    /// This process, from 0.
    pub fn rank(&self) -> usize {
        self.topology.rank
    }

    /// Processes in all.
    pub fn world_size(&self) -> usize {
        self.topology.world_size
    }

    /// As in `rank 2 (algo-3)`.
    pub fn name_of(&self, rank: usize) -> String {
        self.heartbeat.peers().get(rank).map_or_else(|| format!("rank {rank}"), Peer::to_string)
    }

    /// Of `num_cpus` of this machine those that are this process's.
    pub fn share_of_cpus(&self, num_cpus: usize) -> usize {
        self.topology.share_of_cpus(num_cpus)
    }

    /// Bytes that this process has sent and received in collectives, lengths and padding included.
    pub fn num_bytes(&self) -> u64 {
        self.num_bytes.load(Ordering::Relaxed)
    }

    /// Tells the others how many images of this process's share are done.
    pub fn progress(&self, num_done: usize, num_images: usize) {
        self.heartbeat.progress(num_done, num_images);
    }

    /// Returns when every process has called it, however long that takes while all of them live.
    ///
    /// # Errors
    /// [`Error::Stopped`].
    pub fn meet(&self) -> Result<()> {
        let meeting = self.num_meetings.fetch_add(1, Ordering::Relaxed) + 1;
        self.heartbeat.arrive(meeting);
        self.wait_until(meeting, || self.heartbeat.missing(meeting).is_empty())
    }

    /// Returns when rank 0 has ended well.
    ///
    /// # Errors
    /// [`Error::Stopped`].
    pub fn wait_for_rank_0(&self) -> Result<()> {
        self.wait_until(FINISHED, || self.heartbeat.has_finished(0))?;
        self.heartbeat.end(END_LIMIT);
        Ok(())
    }

    /// Tells the others how this process ended: rank 0 that the model is safe, any other why it failed.
    /// Rank 0 keeps the store until they know. Returns `result`.
    ///
    /// # Errors
    /// That of `result`.
    pub fn end<T>(&self, result: Result<T>) -> Result<T> {
        match &result {
            Ok(_) if self.rank() == 0 => {
                self.heartbeat.arrive(FINISHED);
                self.heartbeat.wait_for_end(END_LIMIT);
            }
            Ok(_) => {}
            Err(Error::Stopped(StopReason::Peer)) => {
                if self.rank() == 0 {
                    self.heartbeat.wait_for_end(END_LIMIT);
                }
            }
            Err(error @ Error::Stopped(_)) => self.heartbeat.fail(&reason(error), STOP_LIMIT),
            Err(error) => self.heartbeat.fail(&reason(error), END_LIMIT),
        }
        result
    }

    /// The bytes of every rank, in order.
    ///
    /// # Errors
    /// [`Error::Peer`] when a rank does not take part; [`Error::Stopped`].
    pub fn all_gather(&self, bytes: Vec<u8>) -> Result<Vec<Vec<u8>>> {
        let lens = self.lens(bytes.len())?;
        let padded = pad(bytes, &lens);
        let all = self.collective(move |group| group.all_gather(&padded))?;
        Ok(unpad(&all, &lens))
    }

    /// The bytes of every rank, in order, at rank 0; elsewhere nothing.
    ///
    /// # Errors
    /// As [`ProcessGroup::all_gather`].
    pub fn gather(&self, bytes: Vec<u8>) -> Result<Vec<Vec<u8>>> {
        let lens = self.lens(bytes.len())?;
        let padded = pad(bytes, &lens);
        let all = self.collective(move |group| group.gather(&padded, 0))?;
        Ok(if self.rank() == 0 { unpad(&all, &lens) } else { Vec::new() })
    }

    /// The bytes of rank 0; what the others give is not looked at.
    ///
    /// # Errors
    /// As [`ProcessGroup::all_gather`].
    pub fn broadcast(&self, bytes: Vec<u8>) -> Result<Vec<u8>> {
        let len = self.lens(bytes.len())?.first().copied().unwrap_or(0);
        let mut bytes = bytes;
        bytes.resize(len, 0);
        self.collective(move |group| group.broadcast(&mut bytes, 0).map(|()| bytes))
    }

    /// How many bytes each rank has.
    fn lens(&self, len: usize) -> Result<Vec<usize>> {
        let len = (len as u64).to_le_bytes();
        let lens = self.collective(move |group| group.all_gather(&len))?;
        let number = |bytes: &[u8; 8]| u64::from_le_bytes(*bytes) as usize;
        Ok(lens.as_chunks().0.iter().map(number).collect())
    }

    fn collective(
        &self,
        run: impl FnOnce(&dyn Group) -> Result<Vec<u8>> + Send + 'static,
    ) -> Result<Vec<u8>> {
        let gloo = self.gloo.clone();
        let result = self.heartbeat.waiting(|| {
            // The lock only says whose turn it is.
            wait_for(move || run(&**gloo.lock().unwrap_or_else(PoisonError::into_inner)))
        });
        let bytes = result.map_err(|error| blame(&self.topology, error))?;
        self.num_bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok(bytes)
    }

    /// Waits for `is_over`, which depends on who has come to `meeting`.
    fn wait_until(&self, meeting: u64, is_over: impl Fn() -> bool) -> Result<()> {
        self.heartbeat.waiting(|| {
            let mut line_due = Instant::now() + LINE_INTERVAL;
            loop {
                signals::check()?;
                if is_over() {
                    return Ok(());
                }
                if Instant::now() >= line_due {
                    log::info!("waiting for {}", describe(&self.heartbeat.missing(meeting)));
                    line_due = Instant::now() + LINE_INTERVAL;
                }
                thread::sleep(PAUSE);
            }
        })
    }
}

/// As in `failed: ...`.
fn reason(error: &Error) -> String {
    if let Error::Stopped(reason) = error {
        return format!("was stopped by {}", reason.name());
    }
    let text = error.to_string();
    format!("failed: {}", text.lines().next().unwrap_or_default())
}

/// Gloo's own limit: a machine that is gone is noticed, and named, before.
fn timeout(topology: &Topology) -> Duration {
    5 * topology.heartbeat_timeout + Duration::from_secs(60)
}

/// Runs `work` on a thread of its own and waits for it, or until the run is to end: what `work` owns then
/// lives on.
fn wait_for<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let (sender, receiver) = mpsc::channel();
    // Nobody listens any more when the run ends.
    let run = move || drop(sender.send(work()));
    thread::Builder::new()
        .name("collective".into())
        .spawn(run)
        .map_err(|error| Error::Internal(format!("cannot start a thread: {error}")))?;
    loop {
        match receiver.recv_timeout(PAUSE) {
            Ok(result) => return result,
            Err(RecvTimeoutError::Timeout) => signals::check()?,
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Error::Internal("a collective panicked".into()));
            }
        }
    }
}

/// Gloo knows of a broken connection at once, but not whose it was: waits until the heartbeat does.
fn blame(topology: &Topology, error: Error) -> Error {
    let Error::Internal(why) = error else { return error };
    log::warn!("the exchange with the other machines broke off: {why}");
    if let Err(stopped) = pause(2 * topology.heartbeat_timeout) {
        return stopped;
    }
    Error::Peer {
        peer: "a machine of the run".into(),
        reason: format!("broke off the exchange, although all are there: {why}"),
        remedy: "Let the machines' security group admit each other at all TCP ports, and set \
                 GLOO_SOCKET_IFNAME where they have several networks."
            .into(),
    }
}

fn describe(missing: &[(&Peer, Beat)]) -> String {
    let describe = |(peer, beat): &(&Peer, Beat)| match beat.num_images {
        0 => peer.to_string(),
        num_images => format!("{peer}: {} of {num_images} images", beat.num_done),
    };
    missing.iter().map(describe).collect::<Vec<_>>().join(", ")
}

fn pad(mut bytes: Vec<u8>, lens: &[usize]) -> Vec<u8> {
    bytes.resize(lens.iter().copied().max().unwrap_or(0), 0);
    bytes
}

fn unpad(all: &[u8], lens: &[usize]) -> Vec<Vec<u8>> {
    let longest = lens.iter().copied().max().unwrap_or(0);
    let of_rank = |(rank, &len): (usize, &usize)| all[rank * longest..][..len].to_vec();
    lens.iter().enumerate().map(of_rank).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_padded_is_cut_to_its_length_again() {
        let all: Vec<Vec<u8>> = vec![vec![1, 2, 3], vec![], vec![4]];
        let lens: Vec<usize> = all.iter().map(Vec::len).collect();
        let sent: Vec<u8> = all.iter().flat_map(|bytes| pad(bytes.clone(), &lens)).collect();
        assert_eq!(sent.len(), 9);
        assert_eq!(unpad(&sent, &lens), all);
    }
}
