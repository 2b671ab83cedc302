//! Tells the others that this process lives, and notices when one of them does not.
//!
//! One thread beats: it writes down this process's [`Beat`] in the store and reads all others'. A second
//! one looks after the first, whose requests have no end when the network is cut. Neither does anything
//! else, so that no computation, however long, is taken for a death.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::beat::{Beat, FINISHED, Failure, LEFT, Silence};
use super::c10d::{self, Endpoint, Store};
use super::peer::Peer;
use super::rendezvous::key;
use super::topology::Topology;
use crate::config::{HEARTBEAT_INTERVAL, STALL_TIMEOUT};
use crate::error::{Error, Result};
use crate::run::signals;

/// Between two beats while this process waits for others.
const EAGER_INTERVAL: Duration = Duration::from_millis(20);

/// The two threads. They end with the process.
#[derive(Debug, Clone)]
pub(super) struct Heartbeat(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    topology: Topology,
    peers: Vec<Peer>,
    state: Mutex<State>,
    /// Something is to be told at once.
    urgent: Condvar,
    /// Rounds the first thread has completed.
    num_rounds: AtomicU64,
    is_waiting: AtomicBool,
    /// The first thread has ended.
    is_over: AtomicBool,
}

#[derive(Debug)]
struct State {
    own: Beat,
    /// By rank, as last read.
    others: Vec<Beat>,
    /// Of this process, to be told to the others.
    failure: Option<Failure>,
    /// Who is lost, or failed, and will say nothing more.
    lost: Option<usize>,
}

/// What came of a beat.
enum Round {
    Quiet,
    Failed(Failure),
    /// This process has told that it has seen the end.
    Last,
}

impl Heartbeat {
    /// Has a rank's first beat in the store, before anybody looks for it.
    ///
    /// # Errors
    /// When the store is gone.
    pub(super) fn begin(store: &dyn Store, topology: &Topology) -> Result<()> {
        store.set(&key(topology, "beat", topology.rank), &encode(&Beat::default())?)
    }

    /// Starts with a connection of its own to the store at `master`.
    ///
    /// # Errors
    /// When the store is gone, or the system gives no threads.
    pub(super) fn start(topology: &Topology, master: &str, peers: Vec<Peer>) -> Result<Self> {
        let store = c10d::connect(&Endpoint {
            host: master,
            port: topology.master_port,
            is_server: false,
            num_workers: None,
            timeout: topology.heartbeat_timeout,
        })?;
        let state = State {
            own: Beat::default(),
            others: vec![Beat::default(); peers.len()],
            failure: None,
            lost: None,
        };
        let shared = Arc::new(Shared {
            topology: topology.clone(),
            peers,
            state: Mutex::new(state),
            urgent: Condvar::new(),
            num_rounds: AtomicU64::new(0),
            is_waiting: AtomicBool::new(false),
            is_over: AtomicBool::new(false),
        });
        let (beating, watching) = (shared.clone(), shared.clone());
        spawn("heartbeat", move || {
            beating.beat(&*store);
            beating.is_over.store(true, Ordering::Relaxed);
        })?;
        spawn("heartbeat-watch", move || watching.watch())?;
        Ok(Heartbeat(shared))
    }

    pub(super) fn peers(&self) -> &[Peer] {
        &self.0.peers
    }

    /// Tells how many images of this rank's share are done.
    pub(super) fn progress(&self, num_done: usize, num_images: usize) {
        let mut state = self.0.lock();
        state.own.num_done = num_done as u64;
        state.own.num_images = num_images as u64;
    }

    /// Tells the others that this process has come to this meeting, or to [`FINISHED`].
    pub(super) fn arrive(&self, meeting: u64) {
        let mut state = self.0.lock();
        state.own.meeting = state.own.meeting.max(meeting);
        drop(state);
        self.0.urgent.notify_all();
    }

    /// Who has not come to this meeting yet, with its last beat.
    pub(super) fn missing(&self, meeting: u64) -> Vec<(&Peer, Beat)> {
        let (others, lost) = {
            let state = self.0.lock();
            (state.others.clone(), state.lost)
        };
        let is_other = |rank| rank != self.0.topology.rank && Some(rank) != lost;
        let with_peers = self.0.peers.iter().zip(others);
        with_peers.filter(|(peer, beat)| is_other(peer.rank) && beat.meeting < meeting).collect()
    }

    /// Whether `rank` has ended well.
    pub(super) fn has_finished(&self, rank: usize) -> bool {
        self.0.lock().others.get(rank).is_some_and(|beat| beat.meeting == FINISHED)
    }

    /// Waits up to `limit` until all others have seen the end, or why there is none.
    pub(super) fn wait_for_end(&self, limit: Duration) {
        let until = Instant::now() + limit;
        self.waiting(|| {
            while !self.missing(FINISHED).is_empty() && Instant::now() < until {
                thread::sleep(EAGER_INTERVAL / 4);
            }
        });
    }

    /// Looks more often for as long as `wait` takes.
    pub(super) fn waiting<T>(&self, wait: impl FnOnce() -> T) -> T {
        self.0.is_waiting.store(true, Ordering::Relaxed);
        self.0.urgent.notify_all();
        let result = wait();
        self.0.is_waiting.store(false, Ordering::Relaxed);
        result
    }

    /// Tells rank 0, in a last beat, that this process has seen the end; waits for that up to `limit`.
    pub(super) fn end(&self, limit: Duration) {
        self.arrive(FINISHED);
        let until = Instant::now() + limit;
        self.waiting(|| {
            while !self.0.is_over.load(Ordering::Relaxed) && Instant::now() < until {
                thread::sleep(EAGER_INTERVAL / 4);
            }
        });
    }

    /// Tells the others why this process fails, and waits up to `limit` until they have seen it.
    pub(super) fn fail(&self, reason: &str, limit: Duration) {
        let own = &self.0.peers[self.0.topology.rank];
        let failure = Failure { rank: own.rank, text: format!("{own}, which {reason}") };
        self.0.lock().failure.get_or_insert(failure);
        self.wait_for_end(limit);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // No code that can panic runs under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn timeout(&self) -> f64 {
        self.topology.heartbeat_timeout.as_secs_f64()
    }

    fn calm_interval(&self) -> Duration {
        HEARTBEAT_INTERVAL.min(self.topology.heartbeat_timeout / 10)
    }

    fn interval(&self) -> Duration {
        if self.is_waiting.load(Ordering::Relaxed) { EAGER_INTERVAL } else { self.calm_interval() }
    }

    /// The first thread.
    fn beat(&self, store: &dyn Store) {
        // Of its beats and of its images.
        let mut silences = vec![[Silence::default(); 2]; self.peers.len()];
        let mut last = Instant::now();
        loop {
            match self.round(store, &mut silences, last.elapsed().as_secs_f64()) {
                Ok(Round::Quiet) => {}
                Ok(Round::Last) => return,
                // A process that fails itself ends by itself, once the others have seen it.
                Ok(Round::Failed(_)) if self.is_failing() => {}
                Ok(Round::Failed(failure)) => {
                    self.leave(store, failure);
                    if self.topology.rank != 0 {
                        return;
                    }
                }
                Err(error) => return self.lose_store(&error.to_string()),
            }
            last = Instant::now();
            self.num_rounds.fetch_add(1, Ordering::Relaxed);
            let state = self.lock();
            let _ = self.urgent.wait_timeout(state, self.interval());
        }
    }

    /// Whether this process fails by itself, or has seen that another one did.
    fn is_failing(&self) -> bool {
        let state = self.lock();
        state.failure.is_some() || state.own.meeting == LEFT
    }

    /// Tells and asks once.
    fn round(
        &self,
        store: &dyn Store,
        silences: &mut [[Silence; 2]],
        elapsed: f64,
    ) -> Result<Round> {
        let (own, failure) = {
            let mut state = self.lock();
            state.own.count += 1;
            (state.own, state.failure.clone())
        };
        if let Some(failure) = failure {
            self.tell(store, &failure)?;
        }
        store.set(&self.beat_key(self.topology.rank), &encode(&own)?)?;
        if self.topology.rank != 0 && own.meeting == FINISHED {
            // Rank 0 may close the store from now on.
            return Ok(Round::Last);
        }
        let failure_key = key(&self.topology, "failure", 0);
        if store.is_set(&failure_key)? {
            let bytes = store.get(&[failure_key])?.pop().unwrap_or_default();
            // Beats go on, so that whoever failed sees who has taken note.
            self.read_others(store)?;
            return decode(&bytes).map(Round::Failed);
        }
        let others = self.read_others(store)?;
        let longest = 2.0 * self.calm_interval().as_secs_f64();
        for ((peer, beat), [beats, images]) in self.peers.iter().zip(others).zip(silences) {
            let silent = beats.note(beat.count, elapsed, longest);
            let idle = images.note(beat.num_done, elapsed, longest);
            let why = if silent > self.timeout() {
                format!("has not been heard of for {silent:.0} s")
            } else if beat.num_done < beat.num_images && idle > STALL_TIMEOUT.as_secs_f64() {
                format!("has done no image for {idle:.0} s")
            } else {
                continue;
            };
            if peer.rank != self.topology.rank && beat.meeting < FINISHED {
                let failure = Failure { rank: peer.rank, text: format!("{peer}, which {why}") };
                return self.tell(store, &failure).map(Round::Failed);
            }
        }
        Ok(Round::Quiet)
    }

    fn read_others(&self, store: &dyn Store) -> Result<Vec<Beat>> {
        let keys: Vec<String> = (0..self.peers.len()).map(|rank| self.beat_key(rank)).collect();
        let beats: Vec<Beat> =
            store.get(&keys)?.iter().map(|bytes| decode(bytes)).collect::<Result<_>>()?;
        self.lock().others.clone_from(&beats);
        Ok(beats)
    }

    /// Writes down why the run failed. Returns what is written there: somebody may have been first.
    fn tell(&self, store: &dyn Store, failure: &Failure) -> Result<Failure> {
        let bytes = encode(failure)?;
        decode(&store.set_if_absent(&key(&self.topology, "failure", 0), &bytes)?)
    }

    /// Ends the run of this process because another one failed.
    fn leave(&self, store: &dyn Store, failure: Failure) {
        if self.lock().own.meeting >= FINISHED {
            return;
        }
        let own = {
            let mut state = self.lock();
            state.own.meeting = LEFT;
            state.lost = Some(failure.rank);
            state.own
        };
        if let Ok(bytes) = encode(&own) {
            // Whoever failed waits for it a moment at most.
            let _ = store.set(&self.beat_key(self.topology.rank), &bytes);
        }
        if failure.rank == self.topology.rank {
            signals::request_for_peer(format!(
                "the other machines, for which this one was silent for too long ({})",
                failure.text
            ));
        } else {
            signals::request_for_peer(failure.text);
        }
    }

    /// Ends the run of this process because the store, and with it all others, is out of reach.
    fn lose_store(&self, why: &str) {
        if self.lock().own.meeting >= FINISHED {
            return;
        }
        let Topology { master_addr, master_port, .. } = &self.topology;
        let keeper = if self.topology.has_agent {
            format!("torchrun on the machine of rank 0 ({master_addr})")
        } else {
            self.peers[0].to_string()
        };
        let why = why.trim_start_matches("internal error: ");
        signals::request_for_peer(format!(
            "{keeper}, which has ended or cannot be reached at {master_addr}:{master_port}: {why}"
        ));
    }

    /// The second thread.
    fn watch(&self) {
        let (mut silence, mut last) = (Silence::default(), Instant::now());
        loop {
            let interval = self.calm_interval();
            thread::sleep(interval);
            let elapsed = std::mem::replace(&mut last, Instant::now()).elapsed().as_secs_f64();
            let num_rounds = self.num_rounds.load(Ordering::Relaxed);
            let seconds = silence.note(num_rounds, elapsed, 2.0 * interval.as_secs_f64());
            if seconds > self.timeout() {
                return self.lose_store(&format!("no answer for {seconds:.0} s"));
            }
        }
    }

    fn beat_key(&self, rank: usize) -> String {
        key(&self.topology, "beat", rank)
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<()> {
    let refused = |error| Error::Internal(format!("cannot start the thread {name}: {error}"));
    thread::Builder::new().name(name.into()).spawn(run).map(drop).map_err(refused)
}

fn encode(value: &impl serde::Serialize) -> Result<Vec<u8>> {
    postcard::to_stdvec(value)
        .map_err(|error| Error::Internal(format!("cannot write a beat: {error}")))
}

fn decode<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    postcard::from_bytes(bytes)
        .map_err(|error| Error::Internal(format!("a beat cannot be understood: {error}")))
}
