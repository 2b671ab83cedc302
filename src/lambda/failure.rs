//! What can go wrong in a call, and the HTTP status of each.

/// A call that gave no answer.
///
/// Messages name the endpoint and the missing permission, but no account and no ARN: they go to
/// whoever called.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The event is none that this function knows, or lacks something. Status 400.
    #[error("{0}")]
    BadEvent(String),

    /// Status 405.
    #[error("{0} is not served here: send POST")]
    MethodNotAllowed(String),

    /// Status 413.
    #[error("{num_bytes} bytes are more than the {limit} that the endpoint takes")]
    TooLarge {
        /// What was sent.
        num_bytes: u64,
        /// The most that may be.
        limit: u64,
    },

    /// Status 415.
    #[error(
        "no content type {0:?}: send application/json with {{\"url\": ...}}, or an image as image/jpeg, \
         image/png or image/webp"
    )]
    UnsupportedMediaType(String),

    /// The function's role lacks a permission: 500, since its caller can do nothing about it.
    #[error(
        "AccessDenied: the role of this function may not call {action} on {resource}; \
         allow that action on that one resource"
    )]
    AccessDenied {
        /// The IAM action, as in "sagemaker:InvokeEndpoint".
        action: &'static str,
        /// The endpoint or bucket.
        resource: String,
    },

    /// Nothing of that name is there: 500, since the function is set up wrongly.
    #[error("there is no {0} in this region and account")]
    NotFound(String),

    /// The service refuses further calls for now, and did so after retries. Status 429.
    #[error("{0} is called too often: try again in a second")]
    Throttled(String),

    /// The endpoint is being created, replaced, or is full. Status 503.
    #[error("{resource} is not ready: {reason}")]
    NotReady {
        /// The endpoint or bucket.
        resource: String,
        /// What it said.
        reason: String,
    },

    /// The model's container does not take this request. Its own status, 400 to 499.
    #[error("{message}")]
    Refused {
        /// The container's.
        status: u16,
        /// The container's.
        message: String,
    },

    /// The model's container failed. Status 502.
    #[error("the model behind {endpoint} failed with status {status}: {message}")]
    Model {
        /// The endpoint.
        endpoint: String,
        /// The container's.
        status: i32,
        /// The container's.
        message: String,
    },

    /// No connection, or an answer that is none. Status 502.
    #[error("{resource} cannot be reached: {reason}")]
    Unreachable {
        /// The endpoint or bucket.
        resource: String,
        /// What the network did.
        reason: String,
    },

    /// No answer in the time that this invocation has. Status 504.
    #[error("{resource} did not answer within {waited_ms} ms")]
    Timeout {
        /// The endpoint or bucket.
        resource: String,
        /// How long it was waited for.
        waited_ms: u128,
    },
}

impl Failure {
    /// The HTTP status of the reply.
    pub fn status(&self) -> u16 {
        match self {
            Failure::BadEvent(_) => 400,
            Failure::MethodNotAllowed(_) => 405,
            Failure::TooLarge { .. } => 413,
            Failure::UnsupportedMediaType(_) => 415,
            Failure::Refused { status, .. } => *status,
            Failure::Throttled(_) => 429,
            Failure::AccessDenied { .. } | Failure::NotFound(_) => 500,
            Failure::Model { .. } | Failure::Unreachable { .. } => 502,
            Failure::NotReady { .. } => 503,
            Failure::Timeout { .. } => 504,
        }
    }

    /// A name for logs, clients and filters: AWS's own where there is one.
    pub fn kind(&self) -> &'static str {
        match self {
            Failure::BadEvent(_) => "BadEvent",
            Failure::MethodNotAllowed(_) => "MethodNotAllowed",
            Failure::TooLarge { .. } => "TooLarge",
            Failure::UnsupportedMediaType(_) => "UnsupportedMediaType",
            Failure::AccessDenied { .. } => "AccessDeniedException",
            Failure::NotFound(_) => "NotFound",
            Failure::Throttled(_) => "ThrottlingException",
            Failure::NotReady { .. } => "NotReady",
            Failure::Refused { .. } => "Refused",
            Failure::Model { .. } => "ModelError",
            Failure::Unreachable { .. } => "Unreachable",
            Failure::Timeout { .. } => "Timeout",
        }
    }

    /// Whether the request itself is to blame, so that sending it again gives the same.
    pub fn is_the_callers(&self) -> bool {
        (400..500).contains(&self.status()) && !matches!(self, Failure::Throttled(_))
    }

    /// Seconds after which the call may be tried again, where waiting helps.
    pub fn retry_after_s(&self) -> Option<u32> {
        match self {
            Failure::Throttled(_) | Failure::NotReady { .. } => Some(1),
            _ => None,
        }
    }
}
