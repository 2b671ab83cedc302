//! The page for people at `/`.

use std::sync::Arc;

use axum::Router;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName};
use axum::routing::get;

use super::service::Service;

/// The page loads nothing from elsewhere and is shown in no other page.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src blob: data:; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

pub(super) fn add(router: Router<Arc<Service>>) -> Router<Arc<Service>> {
    let file = |content_type, text| (headers(content_type), text);
    let html = file("text/html; charset=utf-8", include_str!("page/index.html"));
    let css = file("text/css; charset=utf-8", include_str!("page/page.css"));
    let js = file("text/javascript; charset=utf-8", include_str!("page/page.js"));
    router
        .route("/", get(async move || html))
        .route("/page.css", get(async move || css))
        .route("/page.js", get(async move || js))
}

fn headers(content_type: &'static str) -> [(HeaderName, &'static str); 4] {
    [
        (CONTENT_TYPE, content_type),
        (CONTENT_SECURITY_POLICY, POLICY),
        (CACHE_CONTROL, "no-cache"),
        (HeaderName::from_static("x-content-type-options"), "nosniff"),
    ]
}
