//! Bodies that are too large, clients that are too slow or too many.

use std::io::Write;
use std::thread;
use std::time::Duration;

use super::client::{read_all, read_head};
use super::fake_model::{logits, wait_until};
use super::server::{Server, options};

const HEAD: &str = "POST /invocations HTTP/1.1\r\nhost: x\r\ncontent-type: image/jpeg\r\n";

#[test]
fn a_body_above_the_limit_is_413_whether_announced_or_not() {
    let mut small = options();
    small.limits.max_payload_bytes = 1 << 20;
    let server = Server::start(small);
    let body = vec![b'x'; 1 << 20];
    assert_eq!(server.client.logits("image/jpeg", &body), logits(&body));
    // The client reads the answer although it was still sending.
    let reply = server.client.invoke("image/jpeg", &[body.as_slice(), b"x"].concat());
    assert_eq!(reply.kind(), (413, "too_large".into()));
    let reply = server.client.invoke("image/jpeg", &body.repeat(2));
    assert_eq!(reply.kind(), (413, "too_large".into()));
    // One that asks first need not send.
    let head = format!("{HEAD}expect: 100-continue\r\ncontent-length: 2000000\r\n\r\n");
    assert!(read_head(&mut server.client.raw(head.as_bytes())).starts_with("HTTP/1.1 413"));
    // In pieces, without saying how many.
    let mut stream =
        server.client.raw(format!("{HEAD}transfer-encoding: chunked\r\n\r\n").as_bytes());
    for _ in 0..17 {
        let piece = [format!("{:x}\r\n", 1 << 16).as_bytes(), &body[..1 << 16], b"\r\n"].concat();
        stream.write_all(&piece).unwrap();
    }
    stream.write_all(b"0\r\n\r\n").unwrap();
    assert!(read_head(&mut stream).starts_with("HTTP/1.1 413"));
}

#[test]
fn bodies_in_memory_are_limited_in_all() {
    let mut small = options();
    small.limits.max_bodies_bytes = 64 << 10;
    let server = Server::start(small);
    let half_sent = format!("{HEAD}content-length: 60000\r\n\r\nhalf");
    let mut stream = server.client.raw(half_sent.as_bytes());
    wait_until(|| server.client.metric("ec2train_body_bytes") >= 60_000.0);
    assert_eq!(server.client.invoke("image/jpeg", &[b'x'; 9_000]).status, 503);
    // A small one still fits.
    assert_eq!(server.client.logits("image/jpeg", b"word"), logits(b"word"));
    stream.write_all(&[b'x'; 59_996]).unwrap();
    assert!(read_head(&mut stream).starts_with("HTTP/1.1 200"));
    assert_eq!(server.client.invoke("image/jpeg", &[b'x'; 9_000]).status, 200);
}

#[test]
fn slow_clients_are_given_up() {
    let mut impatient = options();
    impatient.limits.idle_timeout = Duration::from_millis(300);
    impatient.limits.transfer_timeout = Duration::from_millis(300);
    let server = Server::start(impatient);
    let half_a_head = server.client.raw(&HEAD.as_bytes()[..20]);
    let half_a_body = server.client.raw(format!("{HEAD}content-length: 9\r\n\r\nhalf").as_bytes());
    let nothing = server.client.raw(b"");
    assert!(!read_all(half_a_head).contains("HTTP/1.1 200"));
    assert!(read_all(half_a_body).starts_with("HTTP/1.1 408"));
    assert!(!read_all(nothing).contains("HTTP/1.1 200"));
    wait_until(|| server.client.metric("ec2train_connections") <= 2.0);
    assert_eq!(server.client.logits("image/jpeg", b"word"), logits(b"word"));
}

#[test]
fn an_answer_that_takes_too_long_is_504_and_is_not_computed_afterwards() {
    let mut impatient = options();
    impatient.limits.answer_timeout = Duration::from_millis(300);
    let server = Server::start(impatient);
    server.control.hold();
    let first = server.client.raw_invocation("first");
    server.control.wait_for_held(1);
    let reply = server.client.invoke("image/jpeg", b"late");
    assert_eq!(reply.kind(), (504, "slow_answer".into()));
    server.control.release();
    drop(first);
    // One that is not in time on a busy machine is asked again.
    wait_until(|| server.client.invoke("image/jpeg", b"word").status == 200);
    assert!(!server.control.chunks().concat().contains(&"late".to_owned()));
}

#[test]
fn connections_beyond_the_limit_are_refused_and_others_live_on() {
    let mut few = options();
    few.limits.max_connections = 4;
    let server = Server::start(few);
    let idle: Vec<_> =
        (0..4).map(|_| server.client.raw(b"GET /ping HTTP/1.1\r\nhost: x\r\n\r\n")).collect();
    for mut stream in idle.iter().map(|stream| stream.try_clone().unwrap()) {
        assert!(read_head(&mut stream).starts_with("HTTP/1.1 200"));
    }
    assert!(read_all(server.client.raw(b"")).starts_with("HTTP/1.1 503"));
    drop(idle);
    let mut has_room = false;
    while !has_room {
        let mut stream = server.client.raw(b"GET /ping HTTP/1.1\r\nhost: x\r\n\r\n");
        has_room = read_head(&mut stream).starts_with("HTTP/1.1 200");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn what_is_no_http_ends_the_connection_alone() {
    let server = Server::start(options());
    for bytes in [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".as_slice(),
        b"GET /ping\r\n\r\n",
        b"POST /invocations HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
        b"POST /invocations HTTP/1.1\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello",
        b"POST /invocations HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nnonsense\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        &[b'x'; 100_000],
    ] {
        // The server may have closed the connection before all was sent.
        let mut stream = std::net::TcpStream::connect(server.client.address).unwrap();
        stream.set_read_timeout(Some(super::fake_model::DEADLINE)).unwrap();
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        assert!(!read_all(stream).contains("HTTP/1.1 200"));
    }
    assert_eq!(server.client.logits("image/jpeg", b"word"), logits(b"word"));
}
