//! Receiving the body of a request within limits.

use std::sync::Arc;

use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_LENGTH, EXPECT};
use http_body_util::BodyExt;
use hyper::body::{Body as _, Bytes};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::fault::Fault;
use super::options::Limits;

/// A client that is still sending when it is refused often does not read the answer: this many times
/// the limit is received and thrown away first.
const DISCARDED_PAYLOADS: usize = 3;

/// The bodies that are in memory, in all.
#[derive(Debug, Clone)]
pub(super) struct BodyMemory {
    kib: Arc<Semaphore>,
    max_kib: usize,
}

/// A body, which counts as long as this is kept.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) bytes: Bytes,
    _memory: OwnedSemaphorePermit,
}

impl BodyMemory {
    pub(super) fn new(max_bytes: usize) -> Self {
        let max_kib = max_bytes >> 10;
        BodyMemory { kib: Arc::new(Semaphore::new(max_kib)), max_kib }
    }

    /// Taken at this moment.
    pub(super) fn num_bytes(&self) -> usize {
        (self.max_kib - self.kib.available_permits()) << 10
    }
}

/// Receives `body`.
///
/// # Errors
/// [`Fault::TooLarge`], [`Fault::Overloaded`], [`Fault::SlowRequest`], or [`Fault::BadRequest`] when
/// the client went away.
pub(super) async fn receive(
    headers: &HeaderMap,
    body: Body,
    memory: &BodyMemory,
    limits: &Limits,
) -> Result<Received, Fault> {
    let too_large = || Fault::TooLarge(limits.max_payload_bytes);
    let announced = body.size_hint().lower();
    let receiving = async {
        if announced > limits.max_payload_bytes as u64 {
            discard(headers, body, limits).await;
            return Err(too_large());
        }
        let mut body = body;
        let mut permit = memory.take(announced as usize);
        let mut received = Vec::new();
        if permit.is_some() {
            received.reserve_exact(announced as usize);
        }
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| {
                Fault::BadRequest(format!("the body of the request broke off: {error}"))
            })?;
            let Ok(data) = frame.into_data() else { continue };
            let num_bytes = received.len() + data.len();
            if num_bytes > limits.max_payload_bytes {
                discard(headers, body, limits).await;
                return Err(too_large());
            }
            if let Some(held) = &mut permit {
                let missing = (num_bytes >> 10) + 1;
                match memory.take_kib(missing.saturating_sub(held.num_permits())) {
                    Some(more) => held.merge(more),
                    None => permit = None,
                }
            }
            if permit.is_none() {
                discard(headers, body, limits).await;
                return Err(Fault::Overloaded("too many bodies of requests are in memory"));
            }
            received.extend_from_slice(&data);
        }
        match permit {
            Some(permit) => Ok(Received { bytes: received.into(), _memory: permit }),
            None => Err(Fault::Overloaded("too many bodies of requests are in memory")),
        }
    };
    match timeout(limits.transfer_timeout, receiving).await {
        Ok(result) => result,
        Err(_) => Err(Fault::SlowRequest(limits.transfer_timeout.as_secs())),
    }
}

impl BodyMemory {
    fn take(&self, num_bytes: usize) -> Option<OwnedSemaphorePermit> {
        self.take_kib((num_bytes >> 10) + 1)
    }

    fn take_kib(&self, kib: usize) -> Option<OwnedSemaphorePermit> {
        self.kib.clone().try_acquire_many_owned(kib as u32).ok()
    }
}

/// Receives what will not be used, up to a limit, so that the client gets to read why.
pub(super) async fn discard(headers: &HeaderMap, mut body: Body, limits: &Limits) {
    // Such a client has sent nothing yet.
    if headers.contains_key(EXPECT) {
        return;
    }
    let max_bytes = DISCARDED_PAYLOADS * limits.max_payload_bytes;
    let is_endless = headers
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<usize>().ok())
        .is_some_and(|length| length > max_bytes);
    let mut num_bytes = 0;
    let discarding = async {
        while !is_endless && num_bytes <= max_bytes {
            match body.frame().await {
                Some(Ok(frame)) => num_bytes += frame.data_ref().map_or(0, Bytes::len),
                _ => return,
            }
        }
    };
    // The answer is the same.
    let _ = timeout(limits.transfer_timeout, discarding).await;
}
