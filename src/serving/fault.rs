//! Why a request is not answered with 200.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

/// Each has a status, a name for programs, and a message for people.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Fault {
    /// The request is not what it says, or says nothing that is known.
    #[error("{0}")]
    BadRequest(String),
    /// An image cannot be decoded.
    #[error("{0}. Send an intact JPEG, PNG, WebP, BMP, GIF or TIFF image")]
    UndecodableImage(String),
    /// The server must not or will not fetch from this address.
    #[error("{0}")]
    UrlRefused(String),
    /// Nothing usable came from this address.
    #[error("{0}")]
    UrlFailed(String),
    /// There is nothing at this path.
    #[error("there is nothing at this path: POST an image to /invocations")]
    NotFound,
    /// The path takes another method.
    #[error("this path takes another method: GET /ping, POST /invocations")]
    MethodNotAllowed,
    /// No reply of the kinds that the client accepts can be given.
    #[error("{0} is accepted, but replies are application/json, text/csv or application/x-npy")]
    NotAcceptable(String),
    /// The client took too long to send.
    #[error("the request did not arrive in time: {0} s are given to it")]
    SlowRequest(u64),
    /// The body is too large.
    #[error("the body has more than {0} bytes, which is the limit: send a smaller image")]
    TooLarge(usize),
    /// The body is of a type that is not understood.
    #[error(
        "Content-Type {0} is not understood: send image/jpeg, image/png, image/webp, \
         application/x-image, application/octet-stream, application/json or multipart/form-data"
    )]
    UnsupportedType(String),
    /// Too much waits already.
    #[error("the server is busy: {0}. Try again in a second")]
    Overloaded(&'static str),
    /// No answer can be given now.
    #[error("the server is not ready: {0}")]
    NotReady(&'static str),
    /// The answer took too long.
    #[error("the answer took more than {0} s")]
    SlowAnswer(u64),
    /// A fault of the server's own.
    #[error("the server failed on this request, which its log explains")]
    Internal,
}

impl Fault {
    /// Of the reply.
    pub fn status(&self) -> StatusCode {
        match self {
            Fault::BadRequest(_)
            | Fault::UndecodableImage(_)
            | Fault::UrlRefused(_)
            | Fault::UrlFailed(_) => StatusCode::BAD_REQUEST,
            Fault::NotFound => StatusCode::NOT_FOUND,
            Fault::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Fault::NotAcceptable(_) => StatusCode::NOT_ACCEPTABLE,
            Fault::SlowRequest(_) => StatusCode::REQUEST_TIMEOUT,
            Fault::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Fault::UnsupportedType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Fault::Overloaded(_) | Fault::NotReady(_) => StatusCode::SERVICE_UNAVAILABLE,
            Fault::SlowAnswer(_) => StatusCode::GATEWAY_TIMEOUT,
            Fault::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// As in replies, metrics and the access log.
    pub fn kind(&self) -> &'static str {
        match self {
            Fault::BadRequest(_) => "bad_request",
            Fault::UndecodableImage(_) => "undecodable_image",
            Fault::UrlRefused(_) => "url_refused",
            Fault::UrlFailed(_) => "url_failed",
            Fault::NotFound => "not_found",
            Fault::MethodNotAllowed => "method_not_allowed",
            Fault::NotAcceptable(_) => "not_acceptable",
            Fault::SlowRequest(_) => "slow_request",
            Fault::TooLarge(_) => "too_large",
            Fault::UnsupportedType(_) => "unsupported_type",
            Fault::Overloaded(_) => "overloaded",
            Fault::NotReady(_) => "not_ready",
            Fault::SlowAnswer(_) => "slow_answer",
            Fault::Internal => "internal",
        }
    }
}

/// The body is written where the request's id is known.
impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}
