//! What calls the function. An event does not say what it is: its fields decide.

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use super::failure::Failure;
use super::request::{LOGITS, Request, VERBOSE, decode_base64};

/// An event, as the requests that it makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The original's `{"url": ...}`, or `{"image": base64}`; `"verbose": true` for names.
    Direct(Request),
    /// API Gateway (both versions) and function URLs.
    Http(Request),
    /// A browser asks what it may send: `OPTIONS`.
    Preflight,
    /// S3 tells of new objects; empty for its test event.
    Objects(Vec<Object>),
}

/// An object of S3 that was created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// The bucket's name.
    pub bucket: String,
    /// Decoded.
    pub key: String,
    /// Of a bucket that keeps versions.
    pub version: Option<String>,
    /// As the event says.
    pub num_bytes: u64,
}

/// The form that a reply must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Somebody who calls the function itself.
    Direct,
    /// API Gateway or a function URL.
    Http,
    /// S3.
    Objects,
}

impl Source {
    /// Who sent `event`.
    pub fn of(event: &Value) -> Source {
        if event.get("requestContext").is_some() || event.get("httpMethod").is_some() {
            Source::Http
        } else if event.get("Records").is_some() || event["Event"] == "s3:TestEvent" {
            Source::Objects
        } else {
            Source::Direct
        }
    }

    /// For logs.
    pub fn name(self) -> &'static str {
        match self {
            Source::Direct => "direct",
            Source::Http => "http",
            Source::Objects => "s3",
        }
    }
}

impl Event {
    /// Reads an event.
    ///
    /// # Errors
    /// What the sender did wrong, never with a status of 500 or more.
    pub fn parse(event: &Value) -> Result<Event, Failure> {
        match Source::of(event) {
            Source::Direct => direct(event, LOGITS).map(Event::Direct),
            Source::Http => http(event),
            Source::Objects => objects(event).map(Event::Objects),
        }
    }
}

fn bad(reason: impl Into<String>) -> Failure {
    Failure::BadEvent(reason.into())
}

/// `{"url": ...}` or `{"image": ...}`, in an event or in a body.
fn direct(event: &Value, accept: &str) -> Result<Request, Failure> {
    let accept = if event["verbose"] == true { VERBOSE } else { accept };
    match (event.get("url"), event.get("image")) {
        (Some(Value::String(url)), None) => Request::of_url(url, accept),
        (None, Some(Value::String(image))) => {
            Request::of_image(decode_base64(image, "\"image\"")?, accept)
        }
        (Some(_), Some(_)) => Err(bad("send \"url\" or \"image\", not both")),
        (None, None) => Err(bad(
            "send {\"url\": \"https://...\"} or {\"image\": base64}, with \"verbose\": true for class names",
        )),
        _ => Err(bad("\"url\" and \"image\" are strings")),
    }
}

/// API Gateway's two formats and that of function URLs, which is its second.
fn http(event: &Value) -> Result<Event, Failure> {
    let method = event["requestContext"]["http"]["method"]
        .as_str()
        .or_else(|| event["httpMethod"].as_str())
        .ok_or_else(|| bad("an HTTP event without a method"))?;
    match method {
        "POST" => {}
        "OPTIONS" => return Ok(Event::Preflight),
        other => return Err(Failure::MethodNotAllowed(other.to_owned())),
    }

    let text = event["body"].as_str().unwrap_or_default();
    let body = if event["isBase64Encoded"] == true {
        decode_base64(text, "the body")?
    } else {
        text.as_bytes().to_vec()
    };
    let is_verbose = event["queryStringParameters"]["verbose"] == "true";
    let accept = match header(event, "accept") {
        _ if is_verbose => VERBOSE,
        // What browsers and command-line clients send without being asked.
        None | Some("" | "*/*") => LOGITS,
        Some(accept) if accept.starts_with("text/html") => LOGITS,
        Some(accept) => accept,
    };

    let content_type = header(event, "content-type").unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    match media_type.to_ascii_lowercase().as_str() {
        "application/json" => {
            let value: Value = serde_json::from_slice(&body)
                .map_err(|error| bad(format!("the body is no JSON: {error}")))?;
            direct(&value, accept).map(Event::Http)
        }
        // Their bytes tell more than a sender's word.
        "application/octet-stream" | "application/x-image" => {
            Request::of_image(body, accept).map(Event::Http)
        }
        known @ ("image/jpeg" | "image/png" | "image/webp") => {
            Request::of_body(body, known, accept).map(Event::Http)
        }
        _ => Err(Failure::UnsupportedMediaType(content_type.to_owned())),
    }
}

/// Header names come in any case.
fn header<'a>(event: &'a Value, name: &str) -> Option<&'a str> {
    let headers: &Map<String, Value> = event["headers"].as_object()?;
    let (_, value) = headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name))?;
    value.as_str()
}

fn objects(event: &Value) -> Result<Vec<Object>, Failure> {
    let Some(records) = event["Records"].as_array() else { return Ok(Vec::new()) };
    let mut objects = Vec::new();
    for record in records {
        let source = record["eventSource"].as_str().unwrap_or("nobody");
        if source != "aws:s3" {
            return Err(bad(format!("records of {source}: only S3's are read")));
        }
        if record["eventName"].as_str().is_some_and(|name| name.starts_with("ObjectCreated:")) {
            objects.push(
                object(&record["s3"]).ok_or_else(|| bad("a record of S3 without its object"))?,
            );
        }
    }
    Ok(objects)
}

fn object(s3: &Value) -> Option<Object> {
    // Encoded as in a form: spaces are plus signs.
    let key = s3["object"]["key"].as_str()?.replace('+', " ");
    Some(Object {
        bucket: s3["bucket"]["name"].as_str()?.to_owned(),
        key: percent_decode_str(&key).decode_utf8().ok()?.into_owned(),
        version: s3["object"]["versionId"].as_str().map(str::to_owned),
        num_bytes: s3["object"]["size"].as_u64().unwrap_or(0),
    })
}
