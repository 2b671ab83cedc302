//! The end of a server.

use std::net::TcpStream;
use std::time::Duration;

use super::client::{read_all, read_head};
use super::fake_model::wait_until;
use super::server::{Server, options};

#[test]
fn what_is_in_flight_is_finished_and_nothing_new_is_accepted() {
    let mut server = Server::start(options());
    server.control.hold();
    let computing = server.client.raw_invocation("computing");
    server.control.wait_for_held(1);
    let waiting = server.client.raw_invocation("waiting");
    wait_until(|| server.client.metric("ec2train_queue_length") == 1.0);
    let mut idle = server.client.raw(b"GET /ping HTTP/1.1\r\nhost: x\r\n\r\n");
    assert!(read_head(&mut idle).starts_with("HTTP/1.1 200"));
    server.stop();
    wait_until(|| TcpStream::connect(server.client.address).is_err());
    server.control.release();
    for stream in [computing, waiting] {
        let answer = read_all(stream);
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    assert_eq!(server.join(), 0);
    read_all(idle);
}

#[test]
fn a_server_that_is_idle_ends_at_once_and_one_that_cannot_finish_ends_all_the_same() {
    let mut idle = Server::start(options());
    // A client that has connected and says nothing.
    let _silent = idle.client.raw(b"");
    assert_eq!(idle.client.get("/ping").status, 200);
    idle.stop();
    assert_eq!(idle.join(), 0);

    let mut impatient = options();
    impatient.limits.drain_timeout = Duration::from_millis(200);
    let mut server = Server::start(impatient);
    server.control.hold();
    let _computing = server.client.raw_invocation("computing");
    server.control.wait_for_held(1);
    server.stop();
    assert_eq!(server.join(), 1);
}
