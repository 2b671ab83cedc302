//! One queue, chunks under load, and what becomes of an image that nobody waits for.

use std::time::Duration;

use super::client::{read_all, read_head};
use super::fake_model::{logits, wait_until};
use super::server::{Server, options};

#[test]
fn what_waits_is_computed_together_and_a_lone_image_at_once() {
    let server = Server::start(options());
    server.client.logits("image/jpeg", b"alone");
    server.control.hold();
    let first = server.client.raw_invocation("first");
    server.control.wait_for_held(1);
    let words: Vec<String> = (0..10).map(|index| format!("word {index}")).collect();
    let mut streams = Vec::new();
    for (index, word) in words.iter().enumerate() {
        streams.push(server.client.raw_invocation(word));
        wait_until(|| server.client.metric("ec2train_queue_length") == (index + 1) as f64);
    }
    server.control.release();
    for mut stream in streams {
        assert!(read_head(&mut stream).starts_with("HTTP/1.1 200"));
    }
    drop(first);
    let sizes: Vec<usize> = server.control.chunks().iter().map(Vec::len).collect();
    assert_eq!(sizes, [1, 1, 8, 2]);
    assert_eq!(server.control.chunks()[2], words[..8]);
}

#[test]
fn a_full_queue_refuses_at_once_and_goes_on() {
    let mut full = options();
    full.limits.queue = 2;
    let server = Server::start(full);
    server.control.hold();
    let mut streams = vec![server.client.raw_invocation("first")];
    server.control.wait_for_held(1);
    for num_waiting in 1..=2 {
        streams.push(server.client.raw_invocation("waits"));
        wait_until(|| server.client.metric("ec2train_queue_length") == f64::from(num_waiting));
    }
    for _ in 0..50 {
        let reply = server.client.invoke("image/jpeg", b"one too many");
        assert_eq!(reply.kind(), (503, "overloaded".into()));
        assert_eq!(reply.header("retry-after"), "1");
    }
    assert_eq!(server.client.get("/ping").status, 200);
    server.control.release();
    for mut stream in streams {
        assert!(read_head(&mut stream).starts_with("HTTP/1.1 200"));
    }
    assert_eq!(server.client.logits("image/jpeg", b"after"), logits(b"after"));
    assert!(!server.control.chunks().concat().contains(&"one too many".to_owned()));
}

#[test]
fn an_image_whose_client_went_away_is_not_computed() {
    let mut full = options();
    full.limits.queue = 1;
    let server = Server::start(full);
    server.control.hold();
    let first = server.client.raw_invocation("first");
    server.control.wait_for_held(1);
    let gone = server.client.raw_invocation("gone");
    wait_until(|| server.client.metric("ec2train_queue_length") == 1.0);
    drop(gone);
    // Its place in the queue is free again.
    let mut next = None;
    wait_until(|| {
        let mut stream = server.client.raw_invocation("next");
        // Either it is refused at once, or it waits.
        stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        let is_refused = std::io::Read::read(&mut stream, &mut [0]).is_ok();
        next = (!is_refused).then_some(stream);
        next.is_some()
    });
    server.control.release();
    wait_until(|| server.control.chunks().len() == 2);
    assert_eq!(server.control.chunks(), [["first"], ["next"]]);
    assert_eq!(server.client.metric("ec2train_abandoned_images"), 1.0);
    drop((first, next));
}

#[test]
fn an_unpacked_request_is_taken_whole_or_not_at_all() {
    let mut full = options();
    full.limits.queue = 3;
    let server = Server::start(full);
    let body =
        r#"{"instances": [{"image": "YQ"}, {"image": "Yg"}, {"image": "Yw"}, {"image": "ZA"}]}"#;
    let reply = server.client.invoke("application/json", body.as_bytes());
    assert_eq!(reply.kind(), (503, "overloaded".into()));
    assert!(server.control.chunks().is_empty());
}

#[test]
fn another_model_takes_over_between_two_chunks_and_no_request_is_lost() {
    let server = Server::start(options());
    let id = || {
        let reply = server.client.invoke_with(&[], "?verbose=true", b"word");
        reply.json()["model"]["id"].as_str().unwrap().to_owned()
    };
    assert_eq!(id(), "first");
    server.control.hold();
    let computing = server.client.raw_invocation("computing");
    server.control.wait_for_held(1);
    let waiting = server.client.raw_invocation("waiting");
    wait_until(|| server.client.metric("ec2train_queue_length") == 1.0);
    // Its self-test must not wait.
    let second = super::fake_model::FakeModel::shared("second", &std::sync::Arc::default());
    server.service.set_model(second).unwrap();
    server.control.release();
    for mut stream in [computing, waiting] {
        assert!(read_head(&mut stream).starts_with("HTTP/1.1 200"));
        drop(stream);
    }
    wait_until(|| id() == "second");
}

#[test]
fn pipelined_requests_are_answered_in_their_order() {
    let server = Server::start(options());
    let words = ["a", "bb", "ccc"];
    let bytes: Vec<u8> =
        words.iter().flat_map(|word| super::client::invocation_bytes(word)).collect();
    let stream = server.client.raw(
        &[bytes, b"GET /ping HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".to_vec()].concat(),
    );
    let answers = read_all(stream);
    let places: Vec<usize> = words
        .iter()
        .map(|word| answers.find(&format!("[[{:?},", logits(word.as_bytes())[0])).unwrap())
        .collect();
    assert!(places.is_sorted(), "{answers}");
    assert!(answers.contains("healthy"), "{answers}");
}
