//! Requests that cannot be answered, and a model that fails.

use super::fake_model::{FAILING, PANICKING, logits};
use super::server::{Server, options};

#[test]
fn every_bad_request_is_told_what_is_wrong_with_it() {
    let server = Server::start(options());
    let client = &server.client;
    for (content_type, body, status, kind) in [
        ("image/jpeg", "", 400, "bad_request"),
        ("image/jpeg", "undecodable", 400, "undecodable_image"),
        ("image/heic", "word", 415, "unsupported_type"),
        ("text/plain", "word", 415, "unsupported_type"),
        ("application/json; charset", "{", 400, "bad_request"),
        ("application/json", "[1, 2", 400, "bad_request"),
        ("application/json", "{}", 400, "bad_request"),
        ("application/json", r#"{"image": "%%%"}"#, 400, "bad_request"),
        ("application/json", r#"{"image": ""}"#, 200, ""),
        ("application/json", r#"{"instances": []}"#, 400, "bad_request"),
        ("application/json", r#"{"url": "no address"}"#, 400, "url_refused"),
        ("multipart/form-data", "word", 400, "bad_request"),
        ("multipart/form-data; boundary=x", "--x--\r\n", 400, "bad_request"),
        ("multipart/form-data; boundary=x", "--x\r\n", 400, "bad_request"),
    ] {
        let reply = client.invoke(content_type, body.as_bytes());
        if status == 200 {
            assert_eq!(reply.status, 200, "{content_type} {body}");
        } else if kind == "url_refused" {
            // This server has no client for addresses.
            assert!(reply.text().contains("does not fetch"), "{}", reply.text());
        } else {
            assert_eq!(reply.kind(), (status, kind.into()), "{content_type} {body}");
        }
    }
    let many = format!(r#"{{"instances": [{}]}}"#, vec![r#"{"image": "YQ"}"#; 33].join(","));
    let reply = client.invoke("application/json", many.as_bytes());
    assert!(reply.text().contains("more than 32 images"), "{}", reply.text());
    assert_eq!(client.get("/nothing").kind(), (404, "not_found".into()));
    assert_eq!(client.get("/invocations").kind(), (405, "method_not_allowed".into()));
    let reply = client.invoke_with(&[("content-encoding", "gzip")], "", b"word");
    assert_eq!(reply.kind(), (415, "unsupported_type".into()));
    let reply = client.invoke_with(&[], "?verbose=perhaps", b"word");
    assert_eq!(reply.kind(), (400, "bad_request".into()));
    assert_eq!(client.logits("image/jpeg", b"word"), logits(b"word"));
}

#[test]
fn a_worker_that_panics_is_replaced_and_the_request_answered() {
    let server = Server::start(options());
    for num_panics in 1..=3 {
        let reply = server.client.invoke("image/jpeg", PANICKING.as_bytes());
        assert_eq!(reply.kind(), (500, "internal".into()));
        assert_eq!(server.client.logits("image/jpeg", b"word"), logits(b"word"));
        let counted = server.client.metric("ec2train_worker_panics_total");
        assert_eq!(counted, f64::from(num_panics));
    }
}

#[test]
fn a_model_that_fails_is_an_error_of_the_server() {
    let server = Server::start(options());
    let reply = server.client.invoke("image/jpeg", FAILING.as_bytes());
    assert_eq!(reply.kind(), (500, "internal".into()));
    assert_eq!(server.client.get("/ping").status, 200);
}
