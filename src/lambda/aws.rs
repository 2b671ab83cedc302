//! The two calls through the AWS SDK.

use std::error::Error as StdError;
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_sdk_s3::operation::get_object::GetObjectError;
use aws_sdk_sagemakerruntime::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_sagemakerruntime::operation::invoke_endpoint::InvokeEndpointError;
use aws_sdk_sagemakerruntime::primitives::Blob;

use super::event::Object;
use super::failure::Failure;
use super::handler::{Endpoint, ObjectStore};
use super::request::{Answer, LOGITS, MAX_BODY_BYTES, Request, check_size};

/// The endpoint's name, in the environment of the function.
pub const ENDPOINT_NAME: &str = "ENDPOINT_NAME";

/// Region, credentials and `AWS_ENDPOINT_URL*` from the environment, as the SDKs read them.
///
/// A call is repeated at most twice, after random pauses (exponential backoff with jitter), and only
/// where the service did not take it: no connection, throttled, 500, 502, 503, 504. Repeating is
/// harmless, since classifying changes nothing. What timed out is not repeated: the first request may
/// still be at work. Nor is what the model's container refused.
pub async fn load_config() -> SdkConfig {
    let retries = RetryConfig::standard()
        .with_max_attempts(3)
        .with_initial_backoff(Duration::from_millis(100));
    let timeouts = TimeoutConfig::builder().connect_timeout(Duration::from_secs(2)).build();
    aws_config::defaults(BehaviorVersion::latest())
        .retry_config(retries)
        .timeout_config(timeouts)
        .load()
        .await
}

/// One SageMaker endpoint.
#[derive(Debug)]
pub struct SageMaker {
    client: aws_sdk_sagemakerruntime::Client,
    endpoint_name: String,
}

impl SageMaker {
    /// The endpoint of that name in the region of `config`.
    pub fn new(config: &SdkConfig, endpoint_name: String) -> Self {
        SageMaker { client: aws_sdk_sagemakerruntime::Client::new(config), endpoint_name }
    }

    fn resource(&self) -> String {
        format!("endpoint {}", self.endpoint_name)
    }

    fn failure(&self, error: &SdkError<InvokeEndpointError>) -> Failure {
        match error.as_service_error() {
            Some(InvokeEndpointError::ModelError(model)) => {
                let message = model.original_message().or(model.message()).unwrap_or_default();
                container_failure(
                    self.resource(),
                    model.original_status_code().unwrap_or(500),
                    message.to_owned(),
                )
            }
            Some(InvokeEndpointError::ModelNotReadyException(error)) => Failure::NotReady {
                resource: self.resource(),
                reason: error.message().unwrap_or("its model is being loaded").to_owned(),
            },
            Some(InvokeEndpointError::ValidationError(error))
                if error.message().is_some_and(|text| text.contains("not found")) =>
            {
                Failure::NotFound(self.resource())
            }
            _ => sdk_failure(error, "sagemaker:InvokeEndpoint", self.resource()),
        }
    }
}

impl Endpoint for SageMaker {
    async fn invoke(&self, request: Request, time_left: Duration) -> Result<Answer, Failure> {
        let call = self
            .client
            .invoke_endpoint()
            .endpoint_name(&self.endpoint_name)
            .content_type(request.content_type)
            .accept(request.accept)
            .body(Blob::new(request.body))
            .send();
        let output = within(time_left, self.resource(), call)
            .await?
            .map_err(|error| self.failure(&error))?;
        Ok(Answer {
            content_type: output.content_type.unwrap_or_else(|| LOGITS.to_owned()),
            body: output.body.map(Blob::into_inner).unwrap_or_default(),
        })
    }
}

/// The buckets that the role may read.
#[derive(Debug)]
pub struct S3(aws_sdk_s3::Client);

impl S3 {
    /// The buckets of the region of `config`.
    pub fn new(config: &SdkConfig) -> Self {
        S3(aws_sdk_s3::Client::new(config))
    }
}

impl ObjectStore for S3 {
    async fn get(&self, object: &Object, time_left: Duration) -> Result<Vec<u8>, Failure> {
        let resource = format!("s3://{}/{}", object.bucket, object.key);
        let call = async {
            let output = self
                .0
                .get_object()
                .bucket(&object.bucket)
                .key(&object.key)
                .set_version_id(object.version.clone())
                .send()
                .await
                .map_err(|error| match error.as_service_error() {
                    Some(GetObjectError::NoSuchKey(_)) => {
                        Failure::BadEvent(format!("{resource} is gone"))
                    }
                    _ => sdk_failure(&error, "s3:GetObject", resource.clone()),
                })?;
            // The event's size may be an older one's.
            check_size(u64::try_from(output.content_length.unwrap_or(0)).unwrap_or(0))?;
            let mut bytes = Vec::new();
            let mut body = output.body;
            while let Some(chunk) = body.next().await {
                let chunk = chunk.map_err(|error| Failure::Unreachable {
                    resource: resource.clone(),
                    reason: error.to_string(),
                })?;
                bytes.extend_from_slice(&chunk);
                if bytes.len() as u64 > MAX_BODY_BYTES {
                    check_size(bytes.len() as u64)?;
                }
            }
            Ok(bytes)
        };
        within(time_left, resource.clone(), call).await?
    }
}

async fn within<T>(
    time_left: Duration,
    resource: String,
    call: impl Future<Output = T>,
) -> Result<T, Failure> {
    // Boxed: the SDK's futures are large and deeply nested.
    tokio::time::timeout(time_left, Box::pin(call))
        .await
        .map_err(|_| Failure::Timeout { resource, waited_ms: time_left.as_millis() })
}

/// What the container answered instead of a prediction.
fn container_failure(endpoint: String, status: i32, message: String) -> Failure {
    // Our server's errors are JSON; others' are shown as they are.
    let message = serde_json::from_str::<serde_json::Value>(&message)
        .ok()
        .and_then(|reply| reply["error"].as_str().map(str::to_owned))
        .unwrap_or(message);
    match u16::try_from(status) {
        // Full, not wrong.
        Ok(429 | 503) => Failure::NotReady { resource: endpoint, reason: message },
        Ok(status @ 400..=499) => Failure::Refused { status, message },
        _ => Failure::Model { endpoint, status, message },
    }
}

/// What all services have in common. AWS's own text, which names the role and the account, goes to the
/// log only.
fn sdk_failure<E>(error: &SdkError<E>, action: &'static str, resource: String) -> Failure
where
    E: ProvideErrorMetadata + StdError + 'static,
{
    let reason = match error.as_service_error() {
        Some(service) => service.message().unwrap_or_default().to_owned(),
        None => DisplayErrorContext(error).to_string(),
    };
    let line = serde_json::json!({ "level": "INFO", "call": action, "reason": reason });
    let _ = std::io::Write::write_all(&mut std::io::stderr(), format!("{line}\n").as_bytes());
    let Some(service) = error.as_service_error() else {
        let reason = match error {
            SdkError::TimeoutError(_) => "it timed out",
            SdkError::DispatchFailure(failure) if failure.is_timeout() => "no connection in time",
            SdkError::DispatchFailure(_) => "no connection",
            SdkError::ResponseError(_) => "it answered what is no answer",
            _ => "the call could not be made",
        };
        return Failure::Unreachable { resource, reason: reason.to_owned() };
    };
    match service.code().unwrap_or_default() {
        "AccessDeniedException" | "AccessDenied" => Failure::AccessDenied { action, resource },
        "NoSuchBucket" => Failure::NotFound(resource),
        code if is_throttling(code) => Failure::Throttled(resource),
        code => Failure::NotReady { resource, reason: format!("{code} after retries") },
    }
}

fn is_throttling(code: &str) -> bool {
    code.contains("Throttl") || matches!(code, "TooManyRequestsException" | "SlowDown")
}
