//! The routes.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tower_http::catch_panic::CatchPanicLayer;

use super::fault::Fault;
use super::invocation::invocations;
use super::observe::observe;
use super::service::Service;
use super::{health, page};

/// What an OpenAPI client reads.
const OPENAPI: &str = include_str!("openapi.json");

pub(super) fn router(service: Arc<Service>) -> Router {
    let mut router = Router::new()
        .route("/ping", get(ping))
        .route("/invocations", post(invocations))
        .route("/metrics", get(metrics))
        .route("/openapi.json", get(async || ([(CONTENT_TYPE, "application/json")], OPENAPI)));
    if service.options.has_page {
        router = page::add(router);
    }
    router
        .fallback(async || Fault::NotFound)
        .method_not_allowed_fallback(async || Fault::MethodNotAllowed)
        .layer(CatchPanicLayer::custom(|_| Fault::Internal.into_response()))
        .layer(from_fn_with_state(service.clone(), observe))
        .with_state(service)
}

async fn ping(State(service): State<Arc<Service>>) -> Response {
    match health::check(&service).await {
        Ok(()) => {
            ([(CONTENT_TYPE, "application/json")], "{\"status\":\"healthy\"}\n").into_response()
        }
        Err(reason) => Fault::NotReady(reason).into_response(),
    }
}

async fn metrics(State(service): State<Arc<Service>>) -> Response {
    let Service { metrics, queue, bodies, .. } = service.as_ref();
    let text = metrics.text(queue.len(), queue.num_abandoned(), bodies.num_bytes());
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(CONTENT_TYPE, content_type)], text).into_response()
}
