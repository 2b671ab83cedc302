//! What a process tells the others of itself again and again.

use serde::{Deserialize, Serialize};

/// Meetings are numbered from 1; those who are past the last one need not be heard of any more.
pub(super) const FINISHED: u64 = u64::MAX - 1;
/// Has seen why the run failed, and ends.
pub(super) const LEFT: u64 = u64::MAX;

/// How far a process is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Beat {
    /// Differs from beat to beat.
    pub(super) count: u64,
    /// The last meeting it came to, or one of the above.
    pub(super) meeting: u64,
    /// Images done of its share.
    pub(super) num_done: u64,
    /// Images in its share.
    pub(super) num_images: u64,
}

/// Why the run failed: the first that wrote it down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Failure {
    /// Who failed or is lost.
    pub(super) rank: usize,
    /// As in `rank 2 (algo-3), which failed: ...`.
    pub(super) text: String,
}

/// How long a process has been silent, in this process's own rounds. A round that took longer than it
/// should counts as one that did not: the time in which this process itself stood still says nothing
/// about others.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Silence {
    seen: Option<u64>,
    seconds: f64,
}

impl Silence {
    /// Takes note of `count`, seen `elapsed` seconds after the round before, of which at most `longest`
    /// count. Returns the seconds of silence.
    pub(super) fn note(&mut self, count: u64, elapsed: f64, longest: f64) -> f64 {
        if self.seen.replace(count) == Some(count) {
            self.seconds += elapsed.min(longest);
        } else {
            self.seconds = 0.0;
        }
        self.seconds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_adds_up_until_the_next_beat_and_own_pauses_do_not_count() {
        let mut silence = Silence::default();
        assert_eq!(silence.note(1, 0.5, 1.0), 0.0);
        assert_eq!(silence.note(1, 0.5, 1.0), 0.5);
        assert_eq!(silence.note(1, 3600.0, 1.0), 1.5);
        assert_eq!(silence.note(2, 0.5, 1.0), 0.0);
    }
}
