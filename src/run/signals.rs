//! The request to end a run early, whoever makes it.
//!
//! Any thread may call [`request`]; every stage calls [`check`] between two pieces of its work and
//! returns the error. Where a stage is too slow to notice, a thread that [`install`] started ends the
//! process: whatever a run has finished is on disk at every instant, so nothing is lost by it.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::{flag, low_level};

use crate::error::{Error, Result};

/// Why a run is to end early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    /// SIGTERM: the machine shuts down, or `systemctl stop`.
    Terminate,
    /// SIGINT: Ctrl-C.
    Interrupt,
    /// EC2 takes a spot instance back in two minutes.
    Spot,
    /// Another machine of the run failed or is lost.
    Peer,
}

impl StopReason {
    /// The process's exit code: 128 and the signal's number, as shells have it, "try later", or "a
    /// service is unavailable".
    pub fn exit_code(self) -> u8 {
        match self {
            StopReason::Terminate => 143,
            StopReason::Interrupt => 130,
            StopReason::Spot => 75,
            StopReason::Peer => 69,
        }
    }

    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            StopReason::Terminate => "SIGTERM",
            StopReason::Interrupt => "SIGINT (Ctrl-C)",
            StopReason::Spot => "EC2's notice that it takes this spot instance back",
            StopReason::Peer => PEER.get().map_or("another machine of the run", String::as_str),
        }
    }

    /// Time between the request and the end of the process at the latest.
    fn grace(self) -> Duration {
        match self {
            // With what follows it stays below the 2 s that are promised.
            StopReason::Terminate | StopReason::Interrupt | StopReason::Spot => {
                Duration::from_millis(1500)
            }
            // Nobody waits for it: enough for a chunk of images on a slow machine.
            StopReason::Peer => Duration::from_secs(15),
        }
    }
}

/// The farewell may take this long: the terminal or the disk may be what hangs.
const FAREWELL: Duration = Duration::from_millis(200);

/// 0, or the place of a reason in [`REASONS`] from 1 on.
static REQUESTED: AtomicU8 = AtomicU8::new(0);
const REASONS: [StopReason; 4] =
    [StopReason::Terminate, StopReason::Interrupt, StopReason::Spot, StopReason::Peer];
/// Which machine, and what became of it.
static PEER: OnceLock<String> = OnceLock::new();
static IS_INSTALLED: AtomicBool = AtomicBool::new(false);

type Farewell = Box<dyn FnOnce(StopReason) + Send>;
static FAREWELLS: Mutex<Vec<Farewell>> = Mutex::new(Vec::new());

/// Asks the run to end. The first reason counts.
pub fn request(reason: StopReason) {
    let code = REASONS.iter().position(|&known| known == reason).unwrap_or(0) as u8 + 1;
    let first = REQUESTED.compare_exchange(0, code, Ordering::SeqCst, Ordering::SeqCst).is_ok();
    // Who asks while the run ends because of another machine need not wait as long.
    let hurries = requested() == Some(StopReason::Peer) && reason != StopReason::Peer;
    if (first || hurries) && IS_INSTALLED.load(Ordering::SeqCst) {
        let end = move || {
            thread::sleep(reason.grace());
            end_now(reason)
        };
        if thread::Builder::new().spawn(end).is_err() {
            end_now(reason);
        }
    }
}

/// Asks the run to end because of `peer`, as in "rank 2 (algo-3), which failed: ...".
pub fn request_for_peer(peer: String) {
    PEER.get_or_init(|| peer);
    request(StopReason::Peer);
}

/// Why the run is to end, if it is.
pub fn requested() -> Option<StopReason> {
    let code = REQUESTED.load(Ordering::Relaxed);
    code.checked_sub(1).and_then(|index| REASONS.get(usize::from(index))).copied()
}

/// # Errors
/// [`Error::Stopped`] once somebody has asked the run to end.
pub fn check() -> Result<()> {
    requested().map_or(Ok(()), |reason| Err(Error::Stopped(reason)))
}

/// Has `farewell` called when the process is ended because a stage did not notice the request. It
/// gets 0.2 s.
pub fn on_forced_end(farewell: impl FnOnce(StopReason) + Send + 'static) {
    FAREWELLS.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(farewell));
}

/// Makes requests of SIGTERM and SIGINT, and has every request followed by the end of the process
/// within 2 s. A second SIGINT ends it at once. SIGHUP, as of a broken ssh session, is logged.
///
/// # Errors
/// [`Error::Internal`] when the operating system refuses.
pub fn install() -> Result<()> {
    let refused = |error| Error::Internal(format!("cannot watch for signals: {error}"));
    let is_second = Arc::new(AtomicBool::new(false));
    let code = StopReason::Interrupt.exit_code().into();
    flag::register_conditional_shutdown(SIGINT, code, is_second.clone()).map_err(refused)?;
    flag::register(SIGINT, is_second).map_err(refused)?;
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP]).map_err(refused)?;
    IS_INSTALLED.store(true, Ordering::SeqCst);
    let watch = move || {
        for signal in signals.forever() {
            match signal {
                SIGTERM => request(StopReason::Terminate),
                SIGINT => request(StopReason::Interrupt),
                _ => log::warn!("the terminal is gone (SIGHUP): the run goes on without it"),
            }
        }
    };
    thread::Builder::new().name("signals".into()).spawn(watch).map_err(refused)?;
    Ok(())
}

/// Ends the process without waiting for any of its threads.
fn end_now(reason: StopReason) -> ! {
    let (sender, receiver) = mpsc::channel();
    let say_farewell = move || {
        let farewells =
            std::mem::take(&mut *FAREWELLS.lock().unwrap_or_else(PoisonError::into_inner));
        farewells.into_iter().for_each(|farewell| farewell(reason));
        log::warn!("{}", Error::Stopped(reason));
        // Nobody listens any more when it took too long.
        let _ = sender.send(());
    };
    if thread::Builder::new().spawn(say_farewell).is_ok() {
        let _ = receiver.recv_timeout(FAREWELL);
    }
    low_level::exit(reason.exit_code().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_shells_and_sysexits() {
        let codes = REASONS.map(|reason| Error::Stopped(reason).exit_code());
        assert_eq!(codes, [143, 130, 75, 69]);
    }
}
