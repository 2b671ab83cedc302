//! One file through every fault.

use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::thread;
use std::time::{Duration, Instant};

use ec2train::Error;
use ec2train::fetch::{Fetched, Progress, Source, fetch};
use tempfile::{TempDir, tempdir};

use crate::server::{Request, Server, send, serve};
use crate::{body, impatient, names, sha256, source};

/// Large enough for several reads and for more than a socket's buffers.
const NUM_BYTES: usize = 3_000_000;

fn run(source: &Source) -> Result<Fetched, Error> {
    fetch(source, &impatient(), &Progress::lines())
}

/// The whole file is in place, and nothing else.
fn assert_whole(dir: &TempDir, bytes: &[u8]) {
    assert_eq!(names(&dir.path().join("weights")), ["file"]);
    assert!(fs::read(dir.path().join("weights/file")).unwrap() == bytes, "other bytes");
}

/// The error is one of downloading; its text.
fn download_error(result: Result<Fetched, Error>) -> String {
    let error = result.unwrap_err();
    assert_eq!(error.exit_code(), 69, "{error}");
    error.to_string()
}

#[test]
fn a_plain_download_arrives_whole_and_introduces_itself() {
    let (dir, bytes) = (tempdir().unwrap(), body(NUM_BYTES));
    let served = bytes.clone();
    let server = Server::start(move |r, s| serve(r, s, &served, "\"v1\"", usize::MAX));
    let fetched = run(&source(&server.url, dir.path(), &bytes)).unwrap();
    assert_eq!(fetched.sha256, sha256(&bytes));
    assert_eq!((fetched.num_bytes, fetched.was_there), (NUM_BYTES as u64, false));
    assert_whole(&dir, &bytes);
    let agent = server.requests()[0].user_agent.clone().unwrap();
    assert!(agent.starts_with("ec2train/"), "{agent}");
}

#[test]
fn a_file_that_is_there_is_not_asked_for_again() {
    let (dir, bytes) = (tempdir().unwrap(), body(1000));
    let source = source("http://127.0.0.1:1/none", dir.path(), &bytes);
    fs::create_dir_all(source.target.parent().unwrap()).unwrap();
    fs::write(&source.target, &bytes).unwrap();
    assert!(run(&source).unwrap().was_there);
}

#[test]
fn a_file_of_that_name_with_other_bytes_is_left_alone_and_named() {
    let dir = tempdir().unwrap();
    let source = source("http://127.0.0.1:1/none", dir.path(), &body(1000));
    fs::create_dir_all(source.target.parent().unwrap()).unwrap();
    fs::write(&source.target, b"mine").unwrap();
    let error = run(&source).unwrap_err();
    assert_eq!(error.exit_code(), 65);
    assert!(error.to_string().contains(&sha256(b"mine")), "{error}");
    assert_eq!(fs::read(&source.target).unwrap(), b"mine");
}

#[test]
fn a_broken_transfer_continues_where_it_stopped() {
    let (dir, bytes) = (tempdir().unwrap(), body(NUM_BYTES));
    let served = bytes.clone();
    // More breaks than failures allowed in a row: each brings new bytes, so none counts twice.
    let server = Server::start(move |r, s| serve(r, s, &served, "\"v1\"", 500_000));
    run(&source(&server.url, dir.path(), &bytes)).unwrap();
    assert_whole(&dir, &bytes);
    let expected: Vec<Option<usize>> =
        [None].into_iter().chain((1..6).map(|i| Some(i * 500_000))).collect();
    assert_eq!(server.ranges(), expected);
    assert_eq!(server.requests()[1].if_range.as_deref(), Some("\"v1\""));
}

#[test]
fn a_later_run_continues_what_an_earlier_one_left() {
    let (dir, bytes) = (tempdir().unwrap(), body(NUM_BYTES));
    let served = bytes.clone();
    let server = Server::start(move |r: &Request, s| match r.index {
        0 => serve(r, s, &served, "\"v1\"", 1_000_000),
        1..=3 => send(s, "503 Service Unavailable", &[], b""),
        _ => serve(r, s, &served, "\"v1\"", usize::MAX),
    });
    let source = source(&server.url, dir.path(), &bytes);
    let text = download_error(run(&source));
    assert!(text.contains("503") && text.contains("1.0 MB are kept in"), "{text}");
    assert_eq!(names(&dir.path().join("weights")), ["file.part", "file.part.json"]);
    run(&source).unwrap();
    assert_whole(&dir, &bytes);
    assert_eq!(server.ranges().last(), Some(&Some(1_000_000)));
}

#[test]
fn a_file_that_changed_between_attempts_is_not_joined_to_the_old_one() {
    let (dir, old, new) = (tempdir().unwrap(), vec![7; NUM_BYTES], body(NUM_BYTES));
    let served = new.clone();
    let server = Server::start(move |r: &Request, s| match r.index {
        0 => serve(r, s, &old, "\"v1\"", 1_000_000),
        _ => serve(r, s, &served, "\"v2\"", usize::MAX),
    });
    // Without a digest, so that nothing but If-Range tells the two apart.
    let source = Source::new(&server.url, dir.path().join("weights/file"));
    run(&source).unwrap();
    assert_whole(&dir, &new);
    assert_eq!(server.ranges(), [None, Some(1_000_000)]);
}

#[test]
fn a_server_that_continues_another_version_is_caught_by_its_etag() {
    let (dir, old, new) = (tempdir().unwrap(), vec![7; NUM_BYTES], body(NUM_BYTES));
    let served = new.clone();
    let server = Server::start(move |r: &Request, s| {
        let blind = Request { if_range: None, ..r.clone() };
        match r.index {
            0 => serve(&blind, s, &old, "\"v1\"", 1_000_000),
            _ => serve(&blind, s, &served, "\"v2\"", usize::MAX),
        }
    });
    let source = Source::new(&server.url, dir.path().join("weights/file"));
    run(&source).unwrap();
    assert_whole(&dir, &new);
    assert_eq!(server.ranges(), [None, Some(1_000_000), None]);
}

#[test]
fn a_server_that_continues_at_the_wrong_byte_is_asked_for_everything() {
    let (dir, bytes) = (tempdir().unwrap(), body(NUM_BYTES));
    let served = bytes.clone();
    let server = Server::start(move |r: &Request, s| match r.range {
        None => serve(r, s, &served, "\"v1\"", if r.index == 0 { 1_000_000 } else { NUM_BYTES }),
        Some(start) => {
            let headers = [
                "ETag: \"v1\"".to_string(),
                format!("Content-Range: bytes {}-{}/{NUM_BYTES}", start - 1, NUM_BYTES - 2),
                format!("Content-Length: {}", NUM_BYTES - start),
            ];
            send(s, "206 Partial Content", &headers, &served[start - 1..NUM_BYTES - 1]);
        }
    });
    run(&Source::new(&server.url, dir.path().join("weights/file"))).unwrap();
    assert_whole(&dir, &bytes);
}

#[test]
fn a_server_without_ranges_sends_everything_again() {
    let (dir, bytes) = (tempdir().unwrap(), body(NUM_BYTES));
    let served = bytes.clone();
    let server = Server::start(move |r: &Request, s| {
        let max = if r.index == 0 { 1_000_000 } else { usize::MAX };
        let blind = Request { range: None, ..r.clone() };
        serve(&blind, s, &served, "\"v1\"", max);
    });
    run(&source(&server.url, dir.path(), &bytes)).unwrap();
    assert_whole(&dir, &bytes);
}

#[test]
fn a_server_without_ranges_that_always_breaks_off_ends_the_download() {
    let (dir, bytes) = (tempdir().unwrap(), body(NUM_BYTES));
    let served = bytes.clone();
    let server = Server::start(move |r: &Request, s| {
        serve(&Request { range: None, ..r.clone() }, s, &served, "\"v1\"", 1_000_000);
    });
    let text = download_error(run(&source(&server.url, dir.path(), &bytes)));
    assert!(text.contains("broke the connection off"), "{text}");
    assert_eq!(server.requests().len(), 3, "bytes that came before are no gain");
}

#[test]
fn without_etag_or_date_nothing_is_continued() {
    let (dir, bytes) = (tempdir().unwrap(), body(NUM_BYTES));
    let served = bytes.clone();
    let server = Server::start(move |r: &Request, s| {
        let sent = if r.index == 0 { 1_000_000 } else { NUM_BYTES };
        send(s, "200 OK", &[format!("Content-Length: {NUM_BYTES}")], &served[..sent]);
    });
    run(&source(&server.url, dir.path(), &bytes)).unwrap();
    assert_whole(&dir, &bytes);
    assert_eq!(server.ranges(), [None, None]);
}

#[test]
fn a_complete_part_is_recognized_by_416() {
    let (dir, bytes) = (tempdir().unwrap(), body(NUM_BYTES));
    let served = bytes.clone();
    let server = Server::start(move |r: &Request, s| match r.index {
        // One byte more is announced than there is.
        0 => {
            let headers =
                ["ETag: \"v1\"".to_string(), format!("Content-Length: {}", NUM_BYTES + 1)];
            send(s, "200 OK", &headers, &served);
        }
        _ => serve(r, s, &served, "\"v1\"", usize::MAX),
    });
    run(&source(&server.url, dir.path(), &bytes)).unwrap();
    assert_whole(&dir, &bytes);
    assert_eq!(server.ranges(), [None, Some(NUM_BYTES)]);
}

#[test]
fn after_416_for_a_shorter_file_the_download_starts_over() {
    let (dir, old, new) = (tempdir().unwrap(), vec![7; NUM_BYTES], body(1000));
    let served = new.clone();
    let server = Server::start(move |r: &Request, s| match r.index {
        0 => serve(r, s, &old, "\"v1\"", 1_000_000),
        _ => serve(&Request { if_range: None, ..r.clone() }, s, &served, "\"v2\"", usize::MAX),
    });
    run(&source(&server.url, dir.path(), &new)).unwrap();
    assert_whole(&dir, &new);
    assert_eq!(server.ranges(), [None, Some(1_000_000), None]);
}

#[test]
fn a_server_that_announces_too_much_every_time_ends_the_download() {
    let (dir, bytes) = (tempdir().unwrap(), body(1000));
    let server = Server::start(|_, s| {
        let headers = ["ETag: \"v1\"".to_string(), "Content-Length: 2000".to_string()];
        send(s, "200 OK", &headers, &body(1000));
    });
    let text = download_error(run(&source(&server.url, dir.path(), &bytes)));
    assert!(text.contains("broke the connection off"), "{text}");
    assert!(!dir.path().join("weights/file").exists());
}

#[test]
fn a_server_that_announces_too_little_fails_the_digest() {
    let (dir, bytes) = (tempdir().unwrap(), body(1000));
    let served = bytes.clone();
    let server = Server::start(move |_, s| {
        send(s, "200 OK", &["Content-Length: 900".to_string()], &served);
    });
    let text = download_error(run(&source(&server.url, dir.path(), &bytes)));
    assert!(text.contains(&sha256(&bytes)) && text.contains(&sha256(&bytes[..900])), "{text}");
    assert!(names(&dir.path().join("weights")).is_empty(), "the wrong bytes are deleted");
}

#[test]
fn no_length_and_chunks_are_both_fine_when_the_digest_is_right() {
    let bytes = body(100_000);
    let chunked = |served: Vec<u8>| {
        Server::start(move |_, s| {
            send(s, "200 OK", &["Transfer-Encoding: chunked".to_string()], b"");
            for chunk in served.chunks(30_000) {
                let _ = write!(s, "{:x}\r\n", chunk.len());
                let _ = s.write_all(chunk).and_then(|()| s.write_all(b"\r\n"));
            }
            let _ = s.write_all(b"0\r\n\r\n");
        })
    };
    let until_close = |served: Vec<u8>| Server::start(move |_, s| send(s, "200 OK", &[], &served));
    for server in [chunked(bytes.clone()), until_close(bytes.clone())] {
        let dir = tempdir().unwrap();
        run(&source(&server.url, dir.path(), &bytes)).unwrap();
        assert_whole(&dir, &bytes);
    }
}

#[test]
fn a_break_that_looks_like_the_end_is_healed_by_the_digest() {
    let (dir, bytes) = (tempdir().unwrap(), body(NUM_BYTES));
    let served = bytes.clone();
    let server = Server::start(move |r: &Request, s| {
        let sent = if r.index == 0 { 1_000_000 } else { NUM_BYTES };
        send(s, "200 OK", &["ETag: \"v1\"".to_string()], &served[..sent]);
    });
    run(&source(&server.url, dir.path(), &bytes)).unwrap();
    assert_whole(&dir, &bytes);
    assert_eq!(server.ranges(), [None, None]);
}

#[test]
fn a_broken_chunk_is_an_interruption() {
    let (dir, bytes) = (tempdir().unwrap(), body(1000));
    let served = bytes.clone();
    let server = Server::start(move |r: &Request, s| match r.index {
        0 => {
            send(s, "200 OK", &["Transfer-Encoding: chunked".to_string()], b"3e8\r\nabc");
        }
        _ => serve(r, s, &served, "\"v1\"", usize::MAX),
    });
    run(&source(&server.url, dir.path(), &bytes)).unwrap();
    assert_whole(&dir, &bytes);
}

#[test]
fn wrong_bytes_are_fetched_once_more_and_then_refused_with_both_digests() {
    let (dir, bytes) = (tempdir().unwrap(), body(1000));
    let server = Server::start(|r, s| serve(r, s, b"Please log in", "\"v1\"", usize::MAX));
    let text = download_error(run(&source(&server.url, dir.path(), &bytes)));
    assert!(text.contains(&sha256(&bytes)) && text.contains(&sha256(b"Please log in")), "{text}");
    assert_eq!(server.requests().len(), 2);
    assert!(names(&dir.path().join("weights")).is_empty());
}

#[test]
fn not_found_is_said_at_once() {
    let dir = tempdir().unwrap();
    let server = Server::start(|_, s| send(s, "404 Not Found", &[], b"nothing here"));
    let source = source(&server.url, dir.path(), b"x");
    let text = download_error(run(&source));
    assert!(text.contains("404") && text.contains(&server.url), "{text}");
    assert!(text.contains(source.target.to_str().unwrap()), "where to put it by hand: {text}");
    assert_eq!(server.requests().len(), 1);
    assert!(names(&dir.path().join("weights")).is_empty());
}

#[test]
fn a_server_in_trouble_is_asked_again() {
    let (dir, bytes) = (tempdir().unwrap(), body(1000));
    let served = bytes.clone();
    let server = Server::start(move |r: &Request, s| match r.index {
        0 => send(s, "500 Internal Server Error", &[], b"oops"),
        1 => send(s, "429 Too Many Requests", &[], b""),
        _ => serve(r, s, &served, "\"v1\"", usize::MAX),
    });
    run(&source(&server.url, dir.path(), &bytes)).unwrap();
    assert_whole(&dir, &bytes);
}

#[test]
fn a_redirect_is_followed_also_when_continuing() {
    let (dir, bytes) = (tempdir().unwrap(), body(NUM_BYTES));
    let served = bytes.clone();
    let storage = Server::start(move |r: &Request, s| {
        let max = if r.index == 0 { 1_000_000 } else { usize::MAX };
        serve(r, s, &served, "\"v1\"", max);
    });
    let location = format!("Location: {}", storage.url);
    let front = Server::start(move |_, s| {
        send(s, "302 Found", &[location.clone(), "Content-Length: 0".to_string()], b"");
    });
    run(&source(&front.url, dir.path(), &bytes)).unwrap();
    assert_whole(&dir, &bytes);
    assert_eq!(storage.ranges(), [None, Some(1_000_000)]);
}

#[test]
fn a_ring_of_redirects_is_an_error() {
    let dir = tempdir().unwrap();
    let server = Server::start(|_, s| {
        send(s, "302 Found", &["Location: /file".into(), "Content-Length: 0".into()], b"");
    });
    download_error(run(&source(&server.url, dir.path(), b"x")));
    assert!(server.requests().len() < 20);
}

#[test]
fn a_stalled_body_is_given_up_and_continued() {
    let (dir, bytes) = (tempdir().unwrap(), body(NUM_BYTES));
    let served = bytes.clone();
    let server = Server::start(move |r: &Request, s| {
        serve(r, s, &served, "\"v1\"", if r.index == 0 { 1_000_000 } else { usize::MAX });
        if r.index == 0 {
            thread::sleep(Duration::from_secs(1));
        }
    });
    run(&source(&server.url, dir.path(), &bytes)).unwrap();
    assert_whole(&dir, &bytes);
    assert_eq!(server.ranges(), [None, Some(1_000_000)]);
}

#[test]
fn a_server_that_never_answers_ends_within_the_stall_timeouts() {
    let dir = tempdir().unwrap();
    // Connections wait in the backlog, accepted by nobody.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/file", listener.local_addr().unwrap());
    let started = Instant::now();
    let text = download_error(run(&source(&url, dir.path(), b"x")));
    assert!(text.contains("no byte came for 0.4 s"), "{text}");
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[test]
fn garbage_instead_of_http_is_a_download_error() {
    let dir = tempdir().unwrap();
    let server = Server::start(|_, s| {
        let _ = s.write_all(b"\x00\x01\x02 not http at all\r\n\r\n");
    });
    download_error(run(&source(&server.url, dir.path(), b"x")));
}

#[test]
fn nobody_listening_is_said_after_two_tries_with_the_way_around() {
    let dir = tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/file", listener.local_addr().unwrap());
    drop(listener);
    let text = download_error(run(&source(&url, dir.path(), b"x")));
    assert!(text.contains(&url) && text.contains("HTTPS_PROXY"), "{text}");
    assert!(names(&dir.path().join("weights")).is_empty(), "no empty part is left");
}

#[test]
fn a_name_that_does_not_exist_is_unreachable() {
    let dir = tempdir().unwrap();
    // Longer than a name may be, so that no name server is asked.
    let url = format!("http://{}.invalid/x", "x".repeat(64));
    let text = download_error(run(&source(&url, dir.path(), b"x")));
    assert!(text.contains("HTTPS_PROXY"), "{text}");
}

#[test]
fn a_folder_that_cannot_be_written_is_an_error_of_the_disk() {
    let dir = tempdir().unwrap();
    // A file where the folder should be: refused to every user, root included.
    fs::write(dir.path().join("weights"), b"").unwrap();
    let error = run(&source("http://127.0.0.1:1/x", dir.path(), b"x")).unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error}");
    assert!(error.to_string().contains("weights"), "{error}");

    let locked = dir.path().join("locked");
    fs::create_dir(&locked).unwrap();
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o555)).unwrap();
    if fs::write(locked.join("probe"), b"").is_err() {
        let source = Source::new("http://127.0.0.1:1/x", locked.join("file"));
        assert_eq!(run(&source).unwrap_err().exit_code(), 77);
    }
}

#[test]
fn a_file_too_large_for_the_disk_is_refused_before_its_first_byte() {
    let dir = tempdir().unwrap();
    let server = Server::start(|_, s| {
        let headers = ["ETag: \"v1\"".to_string(), format!("Content-Length: {}", u64::MAX / 4)];
        send(s, "200 OK", &headers, b"abc");
    });
    let error = run(&source(&server.url, dir.path(), b"x")).unwrap_err();
    assert_eq!(error.exit_code(), 74);
    assert!(error.to_string().contains("needed"), "{error}");
    assert!(names(&dir.path().join("weights")).is_empty());
}
