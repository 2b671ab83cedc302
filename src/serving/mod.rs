//! The model over HTTP: `/ping` and `/invocations`, as SageMaker and load balancers expect them.
//!
//! ```text
//! connection ─> request ─> images ─> queue ─┬─> worker: decode, transform, backbone, head ─┐
//!                                           └─> worker                                     │
//!            <─ reply in the format that was asked for <───────────── logits <─────────────┘
//! ```
//!
//! A worker takes images as long as there are any, up to eight, decodes each as it takes it, and then
//! computes: alone when nothing waits, in chunks under load, without a timer.

mod access_log;
pub mod address;
mod answer;
mod body;
pub mod fault;
pub mod fetch_url;
mod health;
mod http;
mod invocation;
mod listener;
mod metrics;
pub mod model;
mod multipart;
mod observe;
pub mod options;
mod page;
mod queue;
mod reload;
pub mod request;
mod run;
mod saved_model;
pub mod service;
pub mod wire;
mod workers;

pub use listener::serve;
pub use options::{Limits, ServeOptions};
pub use run::run;
pub use saved_model::SavedModel;
pub use service::Service;
