//! Images that wait for a worker.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hyper::body::Bytes;
use tokio::sync::oneshot;

use super::model::ModelInfo;

/// An image to classify.
#[derive(Debug)]
pub(super) struct Job {
    /// The file's content.
    pub(super) image: Bytes,
    /// Closed as soon as nobody waits any more.
    pub(super) reply: oneshot::Sender<Outcome>,
    pub(super) queued_at: Instant,
}

/// What became of an image. A worker that was lost leaves none.
pub(super) type Outcome = Result<Computed, Failure>;

#[derive(Debug, Clone)]
pub(super) struct Computed {
    /// `[C]`
    pub(super) logits: Vec<f32>,
    /// What is wrong with the image.
    pub(super) warning: Option<String>,
    pub(super) model: Arc<ModelInfo>,
    /// Time in the queue.
    pub(super) waited: Duration,
    /// Of the chunk that it was in.
    pub(super) took: Duration,
    /// Images in that chunk.
    pub(super) batch: usize,
}

#[derive(Debug, Clone)]
pub(super) enum Failure {
    /// The image cannot be used, for this reason.
    Undecodable(String),
    /// The model failed.
    Internal,
}

/// Bounded; closed when the server ends.
#[derive(Debug)]
pub(super) struct Queue {
    capacity: usize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    jobs: VecDeque<Job>,
    is_closed: bool,
    num_wakes: u64,
    /// Jobs that were thrown away because their client went away.
    num_abandoned: u64,
}

/// What a worker is to do.
#[derive(Debug)]
pub(super) enum Next {
    /// Compute this.
    Job(Job),
    /// Look around: another model may be there.
    Wake,
    /// End: the queue is closed and empty.
    End,
}

/// The queue has no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Full;

impl Queue {
    pub(super) fn new(capacity: usize) -> Self {
        Queue { capacity, state: Mutex::default(), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes all of `jobs` or none.
    pub(super) fn push(&self, jobs: Vec<Job>) -> Result<(), Full> {
        let mut state = self.lock();
        if state.jobs.len() + jobs.len() > self.capacity {
            state.forget_abandoned();
        }
        if state.is_closed || state.jobs.len() + jobs.len() > self.capacity {
            return Err(Full);
        }
        state.jobs.extend(jobs);
        drop(state);
        self.changed.notify_all();
        Ok(())
    }

    /// Takes a job that is to be computed next, however many wait.
    pub(super) fn push_first(&self, job: Job) {
        let mut state = self.lock();
        // Nobody else keeps these few from piling up.
        state.forget_abandoned();
        state.jobs.push_front(job);
        drop(state);
        self.changed.notify_one();
    }

    /// Waits for the next job that somebody waits for. `seen` counts the calls of [`Queue::wake`] that
    /// the caller knows of.
    pub(super) fn pop(&self, seen: &mut u64) -> Next {
        let mut state = self.lock();
        loop {
            if *seen != state.num_wakes {
                *seen = state.num_wakes;
                return Next::Wake;
            }
            if let Some(job) = state.pop() {
                return Next::Job(job);
            }
            if state.is_closed {
                return Next::End;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The same, if there is one now.
    pub(super) fn try_pop(&self) -> Option<Job> {
        self.lock().pop()
    }

    /// Has every [`Queue::pop`] return, once for each caller.
    pub(super) fn wake(&self) {
        self.lock().num_wakes += 1;
        self.changed.notify_all();
    }

    /// Jobs are no longer taken; those that wait are still given out.
    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_all();
    }

    /// Jobs that wait.
    pub(super) fn len(&self) -> usize {
        self.lock().jobs.len()
    }

    /// Whether there is no room for another job.
    pub(super) fn is_full(&self) -> bool {
        let mut state = self.lock();
        if state.jobs.len() >= self.capacity {
            state.forget_abandoned();
        }
        state.jobs.len() >= self.capacity
    }

    /// Jobs that were never computed because their client went away.
    pub(super) fn num_abandoned(&self) -> u64 {
        self.lock().num_abandoned
    }
}

impl State {
    fn pop(&mut self) -> Option<Job> {
        while let Some(job) = self.jobs.pop_front() {
            if !job.reply.is_closed() {
                return Some(job);
            }
            self.num_abandoned += 1;
        }
        None
    }

    fn forget_abandoned(&mut self) {
        let num_before = self.jobs.len();
        self.jobs.retain(|job| !job.reply.is_closed());
        self.num_abandoned += (num_before - self.jobs.len()) as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(image: &'static str) -> (Job, oneshot::Receiver<Outcome>) {
        let (reply, receiver) = oneshot::channel();
        (Job { image: Bytes::from(image), reply, queued_at: Instant::now() }, receiver)
    }

    #[test]
    fn a_full_queue_takes_nothing_and_abandoned_jobs_make_room() {
        let queue = Queue::new(2);
        let (first, first_receiver) = job("first");
        let (second, _second_receiver) = job("second");
        let (third, _third_receiver) = job("third");
        queue.push(vec![first]).unwrap();
        assert_eq!(queue.push(vec![second, third]), Err(Full));
        assert_eq!(queue.len(), 1);
        let (second, _second_receiver) = job("second");
        queue.push(vec![second]).unwrap();
        assert!(queue.is_full());
        drop(first_receiver);
        let (third, _third_receiver) = job("third");
        queue.push(vec![third]).unwrap();
        assert_eq!(queue.num_abandoned(), 1);
        assert_eq!(queue.try_pop().unwrap().image, "second");
    }

    #[test]
    fn what_nobody_waits_for_is_not_given_out_and_a_closed_queue_is_emptied() {
        let queue = Queue::new(3);
        let (first, receiver) = job("first");
        let (second, _second_receiver) = job("second");
        let (probe, _probe_receiver) = job("probe");
        queue.push(vec![first, second]).unwrap();
        drop(receiver);
        queue.push_first(probe);
        queue.close();
        let (late, _late_receiver) = job("late");
        assert_eq!(queue.push(vec![late]), Err(Full));
        assert_eq!(queue.try_pop().unwrap().image, "probe");
        queue.wake();
        let mut seen = 0;
        assert!(matches!(queue.pop(&mut seen), Next::Wake));
        assert!(matches!(queue.pop(&mut seen), Next::Job(job) if job.image == "second"));
        assert!(matches!(queue.pop(&mut seen), Next::End));
    }
}
