//! How a server is set up.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::config;
use crate::job::Job;

/// The constants of [`config`], or what SageMaker gives in their place.
#[derive(Debug, Clone)]
pub struct ServeOptions {
    /// Where it listens. Port 0: a free one, which the log names.
    pub address: SocketAddr,
    /// Holds model.pth and model.json.
    pub model_dir: PathBuf,
    /// Threads that compute.
    pub num_workers: usize,
    /// Whether there is a page for people at `/`.
    pub has_page: bool,
    /// Whether requests may name an address to fetch.
    pub fetch_urls: bool,
    /// What a request may take.
    pub limits: Limits,
}

impl ServeOptions {
    /// For the model of `job`.
    pub fn new(address: SocketAddr, job: &Job) -> Self {
        ServeOptions {
            address,
            model_dir: job.model_dir.clone(),
            num_workers: job.num_workers,
            has_page: true,
            fetch_urls: config::SERVE_FETCH_URLS,
            limits: Limits::default(),
        }
    }
}

/// What a request may take; see the constants of [`config`] with these names.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Of a body or a fetched image.
    pub max_payload_bytes: usize,
    /// Of all bodies together.
    pub max_bodies_bytes: usize,
    /// Memory for decoding an image.
    pub max_decode_bytes: u64,
    /// Images that wait.
    pub queue: usize,
    /// Images in a request.
    pub max_instances: usize,
    /// Open connections.
    pub max_connections: usize,
    /// Fetches at once.
    pub max_fetches: usize,
    /// Until a request's head is there.
    pub idle_timeout: Duration,
    /// Until its body is there.
    pub transfer_timeout: Duration,
    /// Until it is answered.
    pub answer_timeout: Duration,
    /// Until an image is fetched.
    pub fetch_timeout: Duration,
    /// From SIGTERM to the end.
    pub drain_timeout: Duration,
    /// Until a request is told that too much waits.
    pub refusal_pause: Duration,
    /// How long a ping waits for the model's answer.
    pub ping_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            max_payload_bytes: config::SERVE_MAX_PAYLOAD_BYTES,
            max_bodies_bytes: config::SERVE_MAX_BODIES_BYTES,
            max_decode_bytes: config::SERVE_MAX_DECODE_BYTES,
            queue: config::SERVE_QUEUE,
            max_instances: config::SERVE_MAX_INSTANCES,
            max_connections: config::SERVE_MAX_CONNECTIONS,
            max_fetches: config::SERVE_MAX_FETCHES,
            idle_timeout: config::SERVE_IDLE_TIMEOUT,
            transfer_timeout: config::SERVE_TRANSFER_TIMEOUT,
            answer_timeout: config::SERVE_ANSWER_TIMEOUT,
            fetch_timeout: config::SERVE_FETCH_TIMEOUT,
            drain_timeout: config::SERVE_DRAIN_TIMEOUT,
            refusal_pause: config::SERVE_REFUSAL_PAUSE,
            ping_timeout: config::SERVE_PING_TIMEOUT,
        }
    }
}
