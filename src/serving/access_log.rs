//! A line of JSON on stdout for each request.

use std::io::{self, Write};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

use serde::Serialize;

/// Lines that wait for a slow reader of stdout.
const CAPACITY: usize = 1024;

/// One request. Times are in ms, sizes in bytes.
#[derive(Debug, Serialize)]
pub(super) struct Entry {
    pub(super) time: jiff::Timestamp,
    pub(super) request_id: String,
    pub(super) method: String,
    pub(super) path: String,
    pub(super) status: u16,
    pub(super) duration_ms: f64,
    pub(super) content_type: Option<String>,
    pub(super) request_bytes: Option<u64>,
    #[serde(flatten)]
    pub(super) work: Option<Work>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error_kind: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
}

/// What the workers did for a request.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Work {
    pub(super) images: usize,
    pub(super) queue_ms: f64,
    pub(super) compute_ms: f64,
    /// Of the largest chunk.
    pub(super) batch: usize,
}

/// Writes on a thread of its own: whoever reads stdout must not be able to hold up an answer.
#[derive(Debug)]
pub(super) struct AccessLog {
    /// `None` when there is no log.
    lines: Option<SyncSender<String>>,
}

impl AccessLog {
    pub(super) fn stdout() -> Self {
        let (lines, receiver) = sync_channel::<String>(CAPACITY);
        let write = move || {
            for line in receiver {
                // Serving goes on without a reader.
                let _ = io::stdout().lock().write_all(line.as_bytes());
            }
        };
        let spawned = thread::Builder::new().name("access log".into()).spawn(write);
        AccessLog { lines: spawned.is_ok().then_some(lines) }
    }

    pub(super) fn none() -> Self {
        AccessLog { lines: None }
    }

    /// `false` when the line was lost, because too many wait.
    pub(super) fn write(&self, entry: &Entry) -> bool {
        let Some(lines) = &self.lines else { return true };
        match serde_json::to_string(entry) {
            Ok(line) => lines.try_send(line + "\n").is_ok(),
            Err(_) => false,
        }
    }
}
