//! What Prometheus reads at `/metrics`.

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// Upper bounds in seconds: from a small image on an idle machine to SageMaker's limit.
const SECONDS: [f64; 14] =
    [0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 20.0, 60.0];
const IMAGES: [f64; 8] = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0];

type Labels<const N: usize> = [(&'static str, String); N];
type Seconds = Family<Labels<1>, Histogram, fn() -> Histogram>;

#[derive(Debug)]
pub(super) struct Metrics {
    registry: Registry,
    /// By path and status.
    pub(super) requests: Family<Labels<2>, Counter>,
    /// By path.
    pub(super) duration: Seconds,
    /// By kind.
    pub(super) errors: Family<Labels<1>, Counter>,
    pub(super) queue_wait: Histogram,
    pub(super) compute: Histogram,
    pub(super) batch_size: Histogram,
    pub(super) connections: Gauge,
    pub(super) worker_panics: Counter,
    /// By result.
    pub(super) reloads: Family<Labels<1>, Counter>,
    pub(super) log_lines_lost: Counter,
    queue_length: Gauge,
    abandoned: Gauge,
    body_bytes: Gauge,
}

impl Metrics {
    pub(super) fn new() -> Self {
        let seconds = || Histogram::new(SECONDS);
        let metrics = Metrics {
            registry: Registry::default(),
            requests: Family::default(),
            duration: Family::new_with_constructor(seconds as fn() -> Histogram),
            errors: Family::default(),
            queue_wait: seconds(),
            compute: seconds(),
            batch_size: Histogram::new(IMAGES),
            connections: Gauge::default(),
            worker_panics: Counter::default(),
            reloads: Family::default(),
            log_lines_lost: Counter::default(),
            queue_length: Gauge::default(),
            abandoned: Gauge::default(),
            body_bytes: Gauge::default(),
        };
        metrics.registered()
    }

    fn registered(mut self) -> Self {
        let mut registry = Registry::with_prefix("ec2train");
        let Metrics { requests, duration, errors, queue_wait, compute, batch_size, .. } = &self;
        registry.register("requests", "Requests that were answered", requests.clone());
        let help = "From the head of a request to its answer";
        registry.register("request_duration_seconds", help, duration.clone());
        registry.register("errors", "Requests answered by an error", errors.clone());
        let help = "Time that an image waited for a worker";
        registry.register("queue_wait_seconds", help, queue_wait.clone());
        let help = "Time that a chunk of images took from decoding to logits";
        registry.register("compute_seconds", help, compute.clone());
        registry.register("batch_size", "Images in a chunk", batch_size.clone());
        let Metrics { connections, worker_panics, reloads, log_lines_lost, .. } = &self;
        registry.register("connections", "Open connections", connections.clone());
        let help = "Workers that were replaced";
        registry.register("worker_panics", help, worker_panics.clone());
        let help = "Models that took the place of another";
        registry.register("model_reloads", help, reloads.clone());
        let help = "Lines of the access log that nobody took in time";
        registry.register("access_log_lines_lost", help, log_lines_lost.clone());
        let Metrics { queue_length, abandoned, body_bytes, .. } = &self;
        registry.register("queue_length", "Images that wait", queue_length.clone());
        let help = "Images never computed because their client went away";
        registry.register("abandoned_images", help, abandoned.clone());
        let help = "Memory that is taken by bodies of requests, or set aside for them";
        registry.register("body_bytes", help, body_bytes.clone());
        self.registry = registry;
        self
    }

    /// In Prometheus' text format, with what is counted elsewhere.
    pub(super) fn text(
        &self,
        queue_length: usize,
        num_abandoned: u64,
        body_bytes: usize,
    ) -> String {
        self.queue_length.set(queue_length as i64);
        self.abandoned.set(num_abandoned as i64);
        self.body_bytes.set(body_bytes as i64);
        let mut text = String::new();
        // A String takes everything.
        let _ = encode(&mut text, &self.registry);
        text
    }
}
