//! The Lambda function in front of the endpoint.
//!
//! ```text
//! event ──parse──> requests ──InvokeEndpoint──> answers or failures ──> reply in the event's form
//! ```
//!
//! All but `aws` (feature `lambda`) is free of the AWS SDK, and all of it of libtorch.

#[cfg(feature = "lambda")]
pub mod aws;
pub mod event;
pub mod failure;
pub mod handler;
pub mod reply;
pub mod request;

pub use event::Event;
pub use failure::Failure;
pub use handler::{Endpoint, Handler, ObjectStore};
pub use request::{Answer, Request};
