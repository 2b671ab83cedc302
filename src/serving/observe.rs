//! What every request leaves behind: an id, a line in the log, counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::Response;

use super::access_log::{Entry, Work};
use super::fault::Fault;
use super::service::Service;
use super::wire::ErrorReply;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longer ones are replaced by one of our own.
const MAX_ID_LEN: usize = 128;
/// When a busy server may be asked again.
const RETRY_SECONDS: HeaderValue = HeaderValue::from_static("1");
/// Other paths are counted together: clients could name any number of them.
const PATHS: [&str; 5] = ["/", "/ping", "/invocations", "/metrics", "/openapi.json"];

pub(super) async fn observe(
    State(service): State<Arc<Service>>,
    request: Request,
    next: Next,
) -> Response {
    let begin = Instant::now();
    let request_id = request_id(&request);
    let method = request.method().to_string();
    let path = request.uri().path().to_owned();
    let content_type = text(request.headers(), CONTENT_TYPE);
    let request_bytes =
        text(request.headers(), CONTENT_LENGTH).and_then(|length| length.parse().ok());

    let mut response = next.run(request).await;

    let fault = response.extensions_mut().remove::<Fault>();
    if let Some(fault) = &fault {
        explain(&mut response, fault, &request_id);
    }
    if let Ok(value) = HeaderValue::from_str(&request_id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    let status = response.status();
    let duration = begin.elapsed();
    let label = PATHS.iter().find(|known| **known == path).copied().unwrap_or("other");
    let metrics = &service.metrics;
    let labels = [("path", label.to_owned()), ("status", status.as_u16().to_string())];
    metrics.requests.get_or_create(&labels).inc();
    metrics.duration.get_or_create(&[("path", label.to_owned())]).observe(duration.as_secs_f64());
    if let Some(fault) = &fault {
        metrics.errors.get_or_create(&[("kind", fault.kind().to_owned())]).inc();
    }
    // Balancers ask every few seconds; nobody wants to read that all is well.
    if path == "/ping" && status == StatusCode::OK {
        return response;
    }
    let entry = Entry {
        time: jiff::Timestamp::now(),
        request_id,
        method,
        path,
        status: status.as_u16(),
        duration_ms: duration.as_secs_f64() * 1e3,
        content_type,
        request_bytes,
        work: response.extensions().get::<Work>().cloned(),
        error_kind: fault.as_ref().map(Fault::kind),
        error: fault.map(|fault| fault.to_string()),
    };
    if !service.access_log.write(&entry) {
        metrics.log_lines_lost.inc();
    }
    response
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

/// The client's, or a new one.
fn request_id(request: &Request) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let is_good = |id: &&str| {
        (1..=MAX_ID_LEN).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic())
    };
    let given = request.headers().get(REQUEST_ID).and_then(|value| value.to_str().ok());
    given.filter(is_good).map_or_else(
        || {
            let now = jiff::Timestamp::now().as_microsecond();
            format!("{now:x}-{:x}", NEXT.fetch_add(1, Ordering::Relaxed))
        },
        ToOwned::to_owned,
    )
}

/// Writes what is wrong as JSON.
fn explain(response: &mut Response, fault: &Fault, request_id: &str) {
    let reply = ErrorReply {
        error: fault.to_string(),
        kind: fault.kind().into(),
        request_id: request_id.to_owned(),
    };
    *response.body_mut() = Body::from(serde_json::to_vec(&reply).unwrap_or_default());
    let headers = response.headers_mut();
    headers.remove(CONTENT_LENGTH);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if matches!(fault, Fault::Overloaded(_) | Fault::NotReady(_)) {
        headers.insert(RETRY_AFTER, RETRY_SECONDS);
    }
}
