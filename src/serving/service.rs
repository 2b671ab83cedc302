//! What all requests share.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::Semaphore;

use super::access_log::AccessLog;
use super::body::BodyMemory;
use super::fetch_url::UrlFetcher;
use super::health::{self, Health};
use super::metrics::Metrics;
use super::model::Model;
use super::options::ServeOptions;
use super::queue::Queue;
use super::workers;
use crate::error::Result;

/// A server without its sockets.
pub struct Service {
    pub(super) options: ServeOptions,
    pub(super) queue: Queue,
    pub(super) health: Health,
    pub(super) metrics: Metrics,
    pub(super) access_log: AccessLog,
    pub(super) bodies: BodyMemory,
    /// `None` when nothing is fetched by its address.
    pub(super) fetcher: Option<UrlFetcher>,
    pub(super) fetches: Arc<Semaphore>,
    model: RwLock<Option<Arc<dyn Model>>>,
    is_draining: AtomicBool,
}

impl Service {
    /// Without a model yet: it answers 503. Requests are logged to stdout if `has_access_log`.
    pub fn new(options: ServeOptions, has_access_log: bool) -> Arc<Self> {
        let fetcher = options.fetch_urls.then(|| UrlFetcher::new(&options.limits));
        Service::with_fetcher(options, fetcher, has_access_log)
    }

    /// The same with this client for addresses.
    pub fn with_fetcher(
        options: ServeOptions,
        fetcher: Option<UrlFetcher>,
        has_access_log: bool,
    ) -> Arc<Self> {
        Arc::new(Service {
            queue: Queue::new(options.limits.queue),
            health: Health::new(),
            metrics: Metrics::new(),
            access_log: if has_access_log { AccessLog::stdout() } else { AccessLog::none() },
            bodies: BodyMemory::new(options.limits.max_bodies_bytes),
            fetcher,
            fetches: Arc::new(Semaphore::new(options.limits.max_fetches)),
            model: RwLock::default(),
            is_draining: AtomicBool::new(false),
            options,
        })
    }

    /// Serves `model` from the next chunk of images on, if it passes a self-test.
    ///
    /// # Errors
    /// When it does not; the model from before stays.
    pub fn set_model(self: &Arc<Self>, model: Arc<dyn Model>) -> Result<()> {
        health::self_test(model.as_ref())?;
        let before = self.model.write().unwrap_or_else(PoisonError::into_inner).replace(model);
        self.health.succeed();
        if before.is_none() {
            return workers::start(self);
        }
        self.queue.wake();
        Ok(())
    }

    /// Answers pings by 503 from now on.
    pub fn drain(&self) {
        self.is_draining.store(true, Ordering::Relaxed);
    }

    /// Ends the workers as soon as nothing waits.
    pub fn close(&self) {
        self.queue.close();
    }

    pub(super) fn model(&self) -> Option<Arc<dyn Model>> {
        self.model.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn is_draining(&self) -> bool {
        self.is_draining.load(Ordering::Relaxed)
    }
}
