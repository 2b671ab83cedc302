//! Whether the server can answer.

use std::io::Cursor;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hyper::body::Bytes;
use image::{ImageFormat, RgbImage};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::model::Model;
use super::queue::{Job, Outcome};
use super::service::Service;
use crate::error::{Error, Result};

/// An answer that is as recent as this proves the model to be well.
const FRESH: Duration = Duration::from_secs(5);

/// What the workers report.
#[derive(Debug)]
pub(super) struct Health {
    started: Instant,
    /// Of the last answer, in ms since `started`.
    succeeded_ms: AtomicU64,
    has_failed: AtomicBool,
    probe_image: Bytes,
}

impl Health {
    pub(super) fn new() -> Self {
        // Not well until the first answer.
        Health {
            started: Instant::now(),
            succeeded_ms: AtomicU64::new(0),
            has_failed: AtomicBool::new(true),
            probe_image: probe_image().into(),
        }
    }

    /// The model answered.
    pub(super) fn succeed(&self) {
        self.succeeded_ms.store(self.started.elapsed().as_millis() as u64, Ordering::Relaxed);
        self.has_failed.store(false, Ordering::Relaxed);
    }

    /// The model failed, where no image was to blame.
    pub(super) fn fail(&self) {
        self.has_failed.store(true, Ordering::Relaxed);
    }

    fn is_fresh(&self) -> bool {
        let succeeded = Duration::from_millis(self.succeeded_ms.load(Ordering::Relaxed));
        !self.has_failed.load(Ordering::Relaxed)
            && self.started.elapsed().saturating_sub(succeeded) < FRESH
    }
}

/// Whether the model answers: as a recent answer shows, or else an image of our own that it is given
/// now, before all that waits. Why not, otherwise.
pub(super) async fn check(service: &Service) -> Result<(), &'static str> {
    if service.is_draining() {
        return Err("the server is about to end");
    }
    if service.model().is_none() {
        return Err("the model is being loaded");
    }
    if service.health.is_fresh() {
        return Ok(());
    }
    let (reply, receiver) = oneshot::channel();
    let image = service.health.probe_image.clone();
    service.queue.push_first(Job { image, reply, queued_at: Instant::now() });
    match timeout(service.options.limits.ping_timeout, receiver).await {
        Err(_) => Err("the model does not answer"),
        Ok(outcome) => is_good(outcome.ok()).then_some(()).ok_or("the model fails"),
    }
}

fn is_good(outcome: Option<Outcome>) -> bool {
    matches!(outcome, Some(Ok(computed)) if is_sound(&computed.logits, computed.model.class_names.len()))
}

/// Has `model` classify an image of our own, on this thread.
///
/// # Errors
/// When it fails, or the answer is no answer.
pub(super) fn self_test(model: &dyn Model) -> Result<()> {
    let failed =
        |reason: String| Error::Internal(format!("the model fails its self-test: {reason}"));
    let mut worker = model.worker();
    worker.push(&probe_image()).map_err(failed)?;
    let rows = worker.compute()?;
    let num_classes = model.info().class_names.len();
    match rows.as_slice() {
        [logits] if is_sound(logits, num_classes) => Ok(()),
        _ => Err(failed(format!("not {num_classes} finite logits"))),
    }
}

fn is_sound(logits: &[f32], num_classes: usize) -> bool {
    logits.len() == num_classes && logits.iter().all(|logit| logit.is_finite())
}

/// A PNG of 256 x 256 pixels, all of them different.
fn probe_image() -> Vec<u8> {
    let image = RgbImage::from_fn(256, 256, |x, y| image::Rgb([x as u8, y as u8, (x ^ y) as u8]));
    let mut bytes = Vec::new();
    if let Err(error) = image.write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png) {
        unreachable!("a PNG can be written to memory: {error}");
    }
    bytes
}
