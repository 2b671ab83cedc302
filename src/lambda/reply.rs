//! What the function returns, in the form that its caller understands.

use serde_json::{Value, json};

use super::event::{Object, Source};
use super::failure::Failure;
use super::request::{Answer, encode_base64};

/// The reply to a call of the function itself or over HTTP.
///
/// Direct: `statusCode`, `headers`, `type-result`, `Content-Type-In`, `body`, as the original's.
/// HTTP: `statusCode`, `headers`, `body`, `isBase64Encoded`.
pub fn reply(source: Source, content_type_in: &str, result: &Result<Answer, Failure>) -> Value {
    let (status, content_type, body) = match result {
        Ok(answer) => (200, answer.content_type.clone(), answer.body.clone()),
        Err(failure) => (failure.status(), "application/json".to_owned(), error_body(failure)),
    };
    let mut headers = json!({
        "Content-Type": content_type,
        "Access-Control-Allow-Origin": "*",
    });
    if let Err(failure) = result {
        headers["X-Amzn-ErrorType"] = failure.kind().into();
        if let Some(seconds) = failure.retry_after_s() {
            headers["Retry-After"] = seconds.to_string().into();
        }
        if let Failure::MethodNotAllowed(_) = failure {
            headers["Allow"] = "POST, OPTIONS".into();
        }
    }
    let (body, is_base64) = match String::from_utf8(body) {
        Ok(text) => (text, false),
        Err(error) => (encode_base64(error.as_bytes()), true),
    };
    match source {
        Source::Http => json!({
            "statusCode": status,
            "headers": headers,
            "body": body,
            "isBase64Encoded": is_base64,
        }),
        Source::Direct | Source::Objects => json!({
            "statusCode": status,
            "headers": headers,
            // What the original's Python called the body it had decoded.
            "type-result": "<class 'str'>",
            "Content-Type-In": content_type_in,
            "body": body,
        }),
    }
}

/// The reply to `OPTIONS`.
pub fn preflight() -> Value {
    json!({
        "statusCode": 204,
        "headers": {
            "Access-Control-Allow-Origin": "*",
            "Access-Control-Allow-Methods": "POST, OPTIONS",
            "Access-Control-Allow-Headers": "Content-Type, Accept",
            "Access-Control-Max-Age": "86400",
        },
        "body": "",
        "isBase64Encoded": false,
    })
}

/// What became of one object, for the log and for a destination of the function.
pub fn object_result(object: &Object, result: &Result<Answer, Failure>) -> Value {
    let mut line = json!({ "bucket": object.bucket, "key": object.key });
    match result {
        Ok(answer) => {
            let text = String::from_utf8_lossy(&answer.body);
            line["prediction"] =
                serde_json::from_str(&text).unwrap_or_else(|_| text.into_owned().into());
        }
        Err(failure) => {
            line["status"] = failure.status().into();
            line["error"] = json!({ "type": failure.kind(), "message": failure.to_string() });
        }
    }
    line
}

fn error_body(failure: &Failure) -> Vec<u8> {
    json!({ "error": { "type": failure.kind(), "message": failure.to_string() } })
        .to_string()
        .into_bytes()
}
