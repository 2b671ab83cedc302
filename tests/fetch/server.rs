//! A scripted HTTP/1.1 server on the loopback interface.

use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// What a client asked for.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// 0 for the server's first request, 1 for the next.
    pub index: usize,
    /// First line, as in `GET /file HTTP/1.1`.
    pub line: String,
    /// First byte of a `Range: bytes=N-`.
    pub range: Option<usize>,
    pub if_range: Option<String>,
    pub user_agent: Option<String>,
}

pub struct Server {
    pub url: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// Answers every request with `answer`, then closes the connection.
    pub fn start(answer: impl Fn(&Request, &mut TcpStream) + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/file", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let log = requests.clone();
        let answer = Arc::new(answer);
        // The thread ends with the test process.
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut request = read_request(&stream);
                if request.line.is_empty() {
                    continue;
                }
                {
                    let mut log = log.lock().unwrap();
                    request.index = log.len();
                    log.push(request.clone());
                }
                let answer = answer.clone();
                // A thread each: a stalled answer must not keep the next client waiting.
                thread::spawn(move || {
                    answer(&request, &mut stream);
                    let _ = stream.shutdown(Shutdown::Both);
                });
            }
        });
        Server { url, requests }
    }

    /// Everything asked so far.
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// First bytes of the ranges asked so far.
    pub fn ranges(&self) -> Vec<Option<usize>> {
        self.requests().iter().map(|request| request.range).collect()
    }
}

fn read_request(stream: &TcpStream) -> Request {
    let mut request = Request::default();
    for line in BufReader::new(stream).lines() {
        let Ok(line) = line else { break };
        if line.is_empty() {
            break;
        }
        if request.line.is_empty() {
            request.line = line;
            continue;
        }
        let Some((name, value)) = line.split_once(':') else { continue };
        let value = value.trim().to_string();
        match name.to_ascii_lowercase().as_str() {
            "range" => {
                let first = value.trim_start_matches("bytes=").trim_end_matches('-');
                request.range = Some(first.parse().unwrap());
            }
            "if-range" => request.if_range = Some(value),
            "user-agent" => request.user_agent = Some(value),
            _ => {}
        }
    }
    request
}

/// Sends a head with these lines and then `body`; a client that went away is no failure.
pub fn send(stream: &mut TcpStream, status: &str, headers: &[String], body: &[u8]) {
    let mut head = format!("HTTP/1.1 {status}\r\nConnection: close\r\n");
    for header in headers {
        head += header;
        head += "\r\n";
    }
    head += "\r\n";
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
}

/// Answers as a correct server of `body` with this ETag does, but sends only `max` bytes of it.
pub fn serve(request: &Request, stream: &mut TcpStream, body: &[u8], etag: &str, max: usize) {
    let same = request.if_range.as_deref().is_none_or(|known| known == etag);
    let etag = format!("ETag: {etag}");
    match request.range.filter(|_| same) {
        Some(start) if start >= body.len() => {
            let range = format!("Content-Range: bytes */{}", body.len());
            send(stream, "416 Range Not Satisfiable", &[range], b"");
        }
        Some(start) => {
            let rest = &body[start..];
            let range = format!("Content-Range: bytes {start}-{}/{}", body.len() - 1, body.len());
            let length = format!("Content-Length: {}", rest.len());
            let part = &rest[..rest.len().min(max)];
            send(stream, "206 Partial Content", &[etag, range, length], part);
        }
        None => {
            let length = format!("Content-Length: {}", body.len());
            send(stream, "200 OK", &[etag, length], &body[..body.len().min(max)]);
        }
    }
}
