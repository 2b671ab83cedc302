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

pub mod wire;

#[cfg(feature = "serve")]
mod access_log;
#[cfg(feature = "serve")]
pub mod address;
#[cfg(feature = "serve")]
mod answer;
#[cfg(feature = "serve")]
mod body;
#[cfg(feature = "serve")]
pub mod fault;
#[cfg(feature = "serve")]
pub mod fetch_url;
#[cfg(feature = "serve")]
mod health;
#[cfg(feature = "serve")]
mod http;
#[cfg(feature = "serve")]
mod invocation;
#[cfg(feature = "serve")]
mod listener;
#[cfg(feature = "serve")]
mod metrics;
#[cfg(feature = "serve")]
pub mod model;
#[cfg(feature = "serve")]
mod multipart;
#[cfg(feature = "serve")]
mod observe;
#[cfg(feature = "serve")]
pub mod options;
#[cfg(feature = "serve")]
mod page;
#[cfg(feature = "serve")]
mod queue;
#[cfg(feature = "serve")]
mod reload;
#[cfg(feature = "serve")]
pub mod request;
#[cfg(feature = "serve")]
mod run;
#[cfg(feature = "serve")]
mod saved_model;
#[cfg(feature = "serve")]
pub mod service;
#[cfg(feature = "serve")]
mod workers;

#[cfg(feature = "serve")]
pub use listener::serve;
#[cfg(feature = "serve")]
pub use options::{Limits, ServeOptions};
#[cfg(feature = "serve")]
pub use run::run;
#[cfg(feature = "serve")]
pub use saved_model::SavedModel;
#[cfg(feature = "serve")]
pub use service::Service;
