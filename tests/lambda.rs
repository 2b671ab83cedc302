//! The Lambda function's handler on events of every form, with calls that stand in for AWS's.
#![allow(clippy::unwrap_used)]

use std::sync::Mutex;
use std::time::{Duration, Instant};

use ec2train::lambda::event::Object;
use ec2train::lambda::request::{LOGITS, MAX_BODY_BYTES, VERBOSE, encode_base64};
use ec2train::lambda::{Answer, Endpoint, Failure, Handler, ObjectStore, Request};
use serde_json::{Value, json};

const JPEG: &[u8] = b"\xff\xd8\xff\xe0 and more";

/// Keeps what it was asked and gives one answer.
struct Stub {
    asked: Mutex<Vec<(Request, Duration)>>,
    answer: Result<Answer, Failure>,
}

impl Stub {
    fn answering(body: impl Into<Vec<u8>>) -> Stub {
        Stub::with(Ok(Answer { content_type: LOGITS.to_owned(), body: body.into() }))
    }

    fn with(answer: Result<Answer, Failure>) -> Stub {
        Stub { asked: Mutex::new(Vec::new()), answer }
    }
}

impl Endpoint for &Stub {
    async fn invoke(&self, request: Request, time_left: Duration) -> Result<Answer, Failure> {
        self.asked.lock().unwrap().push((request, time_left));
        self.answer.clone()
    }
}

/// Holds one image, under any name but "gone".
struct Bucket(Vec<u8>);

impl ObjectStore for Bucket {
    async fn get(&self, object: &Object, _: Duration) -> Result<Vec<u8>, Failure> {
        match object.key.as_str() {
            "gone" => Err(Failure::BadEvent("it is gone".to_owned())),
            "secret" => Err(Failure::AccessDenied {
                action: "s3:GetObject",
                resource: "s3://pictures/secret".to_owned(),
            }),
            _ => Ok(self.0.clone()),
        }
    }
}

fn handle(stub: &Stub, event: &Value) -> Result<Value, Failure> {
    let handler = Handler::new(stub, Bucket(JPEG.to_vec()));
    pollster::block_on(handler.handle(event, Instant::now() + Duration::from_secs(30)))
}

/// The reply to an event, and the one request it made.
fn call(event: &Value) -> (Value, Request) {
    let stub = Stub::answering("[[1.5,-2.0]]");
    let reply = handle(&stub, event).unwrap();
    let mut asked = stub.asked.into_inner().unwrap();
    assert_eq!(asked.len(), 1, "{reply}");
    (reply, asked.remove(0).0)
}

/// The status and the error of an event that makes no request.
fn refusal(event: &Value) -> (u64, String, String) {
    let stub = Stub::answering("");
    let reply = handle(&stub, event).unwrap();
    assert!(stub.asked.lock().unwrap().is_empty(), "{reply}");
    error(&reply)
}

fn error(reply: &Value) -> (u64, String, String) {
    let body: Value = serde_json::from_str(reply["body"].as_str().unwrap()).unwrap();
    let text = |name: &str| body["error"][name].as_str().unwrap().to_owned();
    assert_eq!(reply["headers"]["X-Amzn-ErrorType"], text("type"));
    (reply["statusCode"].as_u64().unwrap(), text("type"), text("message"))
}

fn function_url(content_type: &str, body: &[u8]) -> Value {
    json!({
        "version": "2.0",
        "rawPath": "/",
        "headers": { "content-type": content_type, "accept": "*/*" },
        "requestContext": { "http": { "method": "POST" } },
        "body": encode_base64(body),
        "isBase64Encoded": true,
    })
}

fn created(keys: &[&str]) -> Value {
    let records: Vec<Value> = keys
        .iter()
        .map(|key| {
            json!({
                "eventSource": "aws:s3",
                "eventName": "ObjectCreated:Put",
                "s3": { "bucket": { "name": "pictures" }, "object": { "key": key, "size": 9 } },
            })
        })
        .collect();
    json!({ "Records": records })
}

#[test]
fn the_originals_event_gets_the_originals_reply() {
    let (reply, request) = call(&json!({ "url": "https://example.com/dog.jpg" }));
    assert_eq!(request.content_type, "application/json");
    assert_eq!(request.accept, LOGITS);
    assert_eq!(request.body, br#"{"url":"https://example.com/dog.jpg"}"#);
    assert_eq!(
        reply,
        json!({
            "statusCode": 200,
            "headers": { "Content-Type": "application/json", "Access-Control-Allow-Origin": "*" },
            "type-result": "<class 'str'>",
            "Content-Type-In": "application/json",
            "body": "[[1.5,-2.0]]",
        })
    );
}

#[test]
fn an_image_is_sent_as_what_its_bytes_say() {
    let (_, request) = call(&json!({ "image": encode_base64(JPEG), "verbose": true }));
    assert_eq!((request.content_type.as_str(), request.accept.as_str()), ("image/jpeg", VERBOSE));
    assert_eq!(request.body, JPEG);
    let (_, request) = call(&json!({ "image": encode_base64(b"a TIFF perhaps") }));
    assert_eq!(request.content_type, "application/octet-stream");
}

#[test]
fn http_events_of_both_versions_carry_bytes_or_json() {
    let (reply, request) = call(&function_url("image/png; name=x", b"\x89PNG"));
    assert_eq!((request.content_type.as_str(), request.accept.as_str()), ("image/png", LOGITS));
    assert_eq!(reply["isBase64Encoded"], false);
    assert_eq!(reply["body"], "[[1.5,-2.0]]");
    assert!(reply.get("type-result").is_none());

    let (_, request) = call(&json!({
        "httpMethod": "POST",
        "headers": { "Content-Type": "application/json", "ACCEPT": "text/csv" },
        "queryStringParameters": null,
        "requestContext": { "stage": "prod" },
        "body": r#"{"url":"http://example.com/a.png"}"#,
        "isBase64Encoded": false,
    }));
    assert_eq!(request.accept, "text/csv");
    assert_eq!(request.body, br#"{"url":"http://example.com/a.png"}"#);

    let mut event = function_url("image/jpeg", JPEG);
    event["queryStringParameters"] = json!({ "verbose": "true" });
    assert_eq!(call(&event).1.accept, VERBOSE);
}

#[test]
fn an_answer_that_is_no_text_is_sent_as_base64() {
    let stub = Stub::answering(b"\x93NUMPY".to_vec());
    let reply = handle(&stub, &function_url("image/jpeg", JPEG)).unwrap();
    assert_eq!(reply["isBase64Encoded"], true);
    assert_eq!(reply["body"], encode_base64(b"\x93NUMPY"));
}

#[test]
fn what_is_wrong_with_an_event_is_said_without_a_call() {
    for (event, status, kind) in [
        (json!({}), 400, "BadEvent"),
        (json!([1]), 400, "BadEvent"),
        (json!({ "url": 3 }), 400, "BadEvent"),
        (json!({ "url": "file:///etc/passwd" }), 400, "BadEvent"),
        (json!({ "url": format!("http://{}", "x".repeat(3000)) }), 400, "BadEvent"),
        (json!({ "url": "http://x", "image": "" }), 400, "BadEvent"),
        (json!({ "image": "" }), 400, "BadEvent"),
        (json!({ "image": "no base64!" }), 400, "BadEvent"),
        (json!({ "image": encode_base64(&vec![0; 6 * 1024 * 1024 + 1]) }), 413, "TooLarge"),
        (function_url("application/json", b"{"), 400, "BadEvent"),
        (function_url("application/json", b"[]"), 400, "BadEvent"),
        (function_url("text/plain", b"dog"), 415, "UnsupportedMediaType"),
        (function_url("", b"dog"), 415, "UnsupportedMediaType"),
        (json!({ "httpMethod": "GET", "requestContext": {} }), 405, "MethodNotAllowed"),
        (json!({ "requestContext": {} }), 400, "BadEvent"),
        (json!({ "Records": [{ "eventSource": "aws:sqs" }] }), 400, "BadEvent"),
        (
            json!({ "Records": [{ "eventSource": "aws:s3", "eventName": "ObjectCreated:Put" }] }),
            400,
            "BadEvent",
        ),
    ] {
        let (found_status, found_kind, message) = refusal(&event);
        assert_eq!((found_status, found_kind.as_str()), (status, kind), "{message}");
    }
}

#[test]
fn a_preflight_is_answered_without_a_call() {
    let stub = Stub::answering("");
    let event = json!({ "version": "2.0", "requestContext": { "http": { "method": "OPTIONS" } } });
    let reply = handle(&stub, &event).unwrap();
    assert_eq!(reply["statusCode"], 204);
    assert_eq!(reply["headers"]["Access-Control-Allow-Methods"], "POST, OPTIONS");
}

#[test]
fn every_failure_has_a_status_and_names_what_is_to_blame() {
    let endpoint = || "endpoint dogs".to_owned();
    let failures = [
        (
            Failure::AccessDenied { action: "sagemaker:InvokeEndpoint", resource: endpoint() },
            500,
            "sagemaker:InvokeEndpoint on endpoint dogs",
        ),
        (Failure::NotFound(endpoint()), 500, "no endpoint dogs"),
        (Failure::Throttled(endpoint()), 429, "endpoint dogs is called too often"),
        (Failure::NotReady { resource: endpoint(), reason: "full".to_owned() }, 503, "full"),
        (
            Failure::Model { endpoint: endpoint(), status: 500, message: "oh".to_owned() },
            502,
            "status 500: oh",
        ),
        (Failure::Refused { status: 413, message: "too large".to_owned() }, 413, "too large"),
        (Failure::Unreachable { resource: endpoint(), reason: "no".to_owned() }, 502, "dogs"),
        (Failure::Timeout { resource: endpoint(), waited_ms: 29500 }, 504, "29500 ms"),
    ];
    for (failure, status, words) in failures {
        let stub = Stub::with(Err(failure.clone()));
        for event in [json!({ "url": "https://x/" }), function_url("image/jpeg", JPEG)] {
            let reply = handle(&stub, &event).unwrap();
            let (found, kind, message) = error(&reply);
            assert_eq!((found, kind.as_str()), (status, failure.kind()));
            assert!(message.contains(words), "{message}");
            assert_eq!(
                reply["headers"].get("Retry-After").is_some(),
                matches!(status, 429) || failure.kind() == "NotReady"
            );
        }
    }
}

#[test]
fn the_call_has_less_time_than_the_invocation() {
    let stub = Stub::answering("[]");
    handle(&stub, &json!({ "url": "https://x/" })).unwrap();
    let handler = Handler::new(&stub, Bucket(Vec::new()));
    // An invocation that is over already.
    let reply = pollster::block_on(handler.handle(&json!({ "url": "https://x/" }), Instant::now()));
    reply.unwrap();
    let asked = stub.asked.lock().unwrap();
    assert!(asked[0].1 <= Duration::from_millis(29_500), "{:?}", asked[0].1);
    assert_eq!(asked[1].1, Duration::ZERO);
}

#[test]
fn objects_are_classified_by_name() {
    let stub = Stub::answering(r#"{"predictions":[]}"#);
    let results = handle(&stub, &created(&["a+dog%2B%C3%A9.jpg", "gone"])).unwrap();
    assert_eq!(
        results[0],
        json!({ "bucket": "pictures", "key": "a dog+é.jpg", "prediction": { "predictions": [] } })
    );
    assert_eq!(results[1]["error"]["type"], "BadEvent");
    let asked = stub.asked.lock().unwrap();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].0.content_type, "image/jpeg");
    assert_eq!(asked[0].0.accept, VERBOSE);
}

#[test]
fn an_object_that_may_succeed_later_fails_the_invocation() {
    let stub = Stub::answering("{}");
    let failure = handle(&stub, &created(&["secret", "dog.jpg"])).unwrap_err();
    assert_eq!(failure.kind(), "AccessDeniedException");
    // The others were classified all the same.
    assert_eq!(stub.asked.lock().unwrap().len(), 1);
    let busy = Failure::NotReady { resource: "endpoint dogs".to_owned(), reason: String::new() };
    assert_eq!(handle(&Stub::with(Err(busy.clone())), &created(&["dog.jpg"])), Err(busy));
    let refused = Failure::Refused { status: 400, message: "no image".to_owned() };
    let results = handle(&Stub::with(Err(refused)), &created(&["dog.jpg"])).unwrap();
    assert_eq!(results[0]["status"], 400);
}

#[test]
fn an_object_that_is_too_large_is_not_read() {
    let stub = Stub::answering("{}");
    let mut event = created(&["secret"]);
    event["Records"][0]["s3"]["object"]["size"] = json!(MAX_BODY_BYTES + 1);
    let results = handle(&stub, &event).unwrap();
    assert_eq!(results[0]["error"]["type"], "TooLarge");
}

#[test]
fn removals_and_the_test_event_of_s3_are_no_objects() {
    let stub = Stub::answering("{}");
    let mut removed = created(&["dog.jpg"]);
    removed["Records"][0]["eventName"] = json!("ObjectRemoved:Delete");
    for event in [removed, json!({ "Service": "Amazon S3", "Event": "s3:TestEvent" })] {
        assert_eq!(handle(&stub, &event).unwrap(), json!([]));
    }
    assert!(stub.asked.lock().unwrap().is_empty());
}
