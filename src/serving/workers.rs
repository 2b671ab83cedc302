//! The threads that compute.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::model::{ModelInfo, Worker};
use super::queue::{Computed, Failure, Job, Next};
use super::service::Service;
use crate::config::CHUNK;
use crate::error::{Error, Result};

/// Files that a chunk may look at: those that cannot be decoded must not keep others waiting.
const MAX_TRIES: usize = 2 * CHUNK;
/// After a panic, so that one that returns at once does not fill the log.
const PAUSE: Duration = Duration::from_millis(100);

/// Starts the workers of a service that has a model. They end when its queue is closed.
pub(super) fn start(service: &Arc<Service>) -> Result<()> {
    for index in 0..service.options.num_workers.max(1) {
        let service = service.clone();
        thread::Builder::new()
            .name(format!("worker {index}"))
            .spawn(move || run(&service))
            .map_err(|error| Error::Internal(format!("cannot start a worker: {error}")))?;
    }
    Ok(())
}

/// A worker that panicked is replaced. What it was computing is answered by an error.
fn run(service: &Service) {
    while catch_unwind(AssertUnwindSafe(|| work(service))).is_err() {
        log::error!("a worker failed on a chunk of images and was replaced");
        service.metrics.worker_panics.inc();
        service.health.fail();
        thread::sleep(PAUSE);
    }
}

fn work(service: &Service) {
    let mut num_wakes = 0;
    let Some(mut model) = service.model() else { return };
    let mut worker = model.worker();
    loop {
        match service.queue.pop(&mut num_wakes) {
            Next::End => return,
            Next::Wake => {
                if let Some(current) = service.model()
                    && !Arc::ptr_eq(&current, &model)
                {
                    worker = current.worker();
                    model = current;
                }
            }
            Next::Job(job) => {
                let begin = Instant::now();
                let chunk = take_chunk(service, worker.as_mut(), job);
                if !chunk.is_empty() {
                    compute_chunk(service, worker.as_mut(), model.info(), chunk, begin);
                }
            }
        }
    }
}

/// An image that was decoded.
struct Taken {
    job: Job,
    warning: Option<String>,
    waited: Duration,
}

/// Decodes the first image, then whatever waits.
fn take_chunk(service: &Service, worker: &mut dyn Worker, first: Job) -> Vec<Taken> {
    let mut chunk = Vec::with_capacity(CHUNK);
    let mut next = Some(first);
    let mut num_tries = 0;
    while let Some(job) = next {
        let waited = job.queued_at.elapsed();
        service.metrics.queue_wait.observe(waited.as_secs_f64());
        match worker.push(&job.image) {
            Ok(warning) => chunk.push(Taken { job, warning, waited }),
            // Nobody listens when the client has gone away meanwhile.
            Err(reason) => drop(job.reply.send(Err(Failure::Undecodable(reason)))),
        }
        num_tries += 1;
        let has_room = chunk.len() < CHUNK && num_tries < MAX_TRIES;
        next = has_room.then(|| service.queue.try_pop()).flatten();
    }
    chunk
}

/// Computes the images that `worker` took since `begin`, and answers.
fn compute_chunk(
    service: &Service,
    worker: &mut dyn Worker,
    model: &Arc<ModelInfo>,
    chunk: Vec<Taken>,
    begin: Instant,
) {
    let batch = chunk.len();
    let result = worker.compute();
    let took = begin.elapsed();
    service.metrics.compute.observe(took.as_secs_f64());
    service.metrics.batch_size.observe(batch as f64);
    match result {
        Ok(rows) => {
            service.health.succeed();
            for (Taken { job, warning, waited }, logits) in chunk.into_iter().zip(rows) {
                let model = model.clone();
                let computed = Computed { logits, warning, model, waited, took, batch };
                drop(job.reply.send(Ok(computed)));
            }
        }
        Err(error) => {
            log::error!("{error}");
            service.health.fail();
            for Taken { job, .. } in chunk {
                drop(job.reply.send(Err(Failure::Internal)));
            }
        }
    }
}
