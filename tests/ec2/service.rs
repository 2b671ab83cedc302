//! A stub of the instance metadata service, version 2, on the loopback interface.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

pub const IDENTITY: &str = "/latest/dynamic/instance-identity/document";
pub const LIFE_CYCLE: &str = "/latest/meta-data/instance-life-cycle";
pub const INSTANCE_ACTION: &str = "/latest/meta-data/spot/instance-action";
pub const REBALANCE: &str = "/latest/meta-data/events/recommendations/rebalance";

pub struct Service {
    pub endpoint: String,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// What each path answers; any other is not found.
    answers: HashMap<String, String>,
    num_tokens: usize,
    /// Paths that were asked with a valid token.
    asked: Vec<String>,
}

impl Service {
    /// A spot t3.medium without a notice.
    pub fn start() -> Service {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State::default()));
        let service = Service { endpoint, state: state.clone() };
        service.answer(
            IDENTITY,
            r#"{"instanceType": "t3.medium", "instanceId": "i-0123456789abcdef0",
                "region": "us-east-1", "availabilityZone": "us-east-1a", "version": "2017-09-30"}"#,
        );
        service.answer(LIFE_CYCLE, "spot");
        // The thread ends with the test process.
        thread::spawn(move || {
            for stream in listener.incoming() {
                let state = state.clone();
                thread::spawn(move || serve(&stream.unwrap(), &state));
            }
        });
        service
    }

    pub fn answer(&self, path: &str, text: &str) {
        self.state.lock().unwrap().answers.insert(path.into(), text.into());
    }

    /// No token given so far is accepted any more.
    pub fn expire_tokens(&self) {
        self.state.lock().unwrap().num_tokens += 1;
    }

    pub fn num_asked(&self, path: &str) -> usize {
        self.state.lock().unwrap().asked.iter().filter(|asked| *asked == path).count()
    }
}

/// Answers the requests of one connection.
fn serve(mut stream: &TcpStream, state: &Mutex<State>) {
    let mut lines = BufReader::new(stream).lines();
    while let Some(Ok(request)) = lines.next() {
        let headers: HashMap<String, String> = lines
            .by_ref()
            .map_while(|line| line.ok().filter(|line| !line.is_empty()))
            .filter_map(|line| line.split_once(": ").map(|(k, v)| (k.to_lowercase(), v.into())))
            .collect();
        let (status, body) = answer(&request, &headers, &mut state.lock().unwrap());
        let length = body.len();
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}");
        if stream.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

fn answer(
    request: &str,
    headers: &HashMap<String, String>,
    state: &mut State,
) -> (&'static str, String) {
    let mut words = request.split(' ');
    let (method, path) = (words.next().unwrap(), words.next().unwrap());
    if (method, path) == ("PUT", "/latest/api/token") {
        let ttl = headers.get("x-aws-ec2-metadata-token-ttl-seconds").map(|text| text.parse());
        return match ttl {
            Some(Ok(1..=21_600_u32)) => {
                state.num_tokens += 1;
                ("200 OK", format!("token {}", state.num_tokens))
            }
            _ => ("400 Bad Request", String::new()),
        };
    }
    let token = format!("token {}", state.num_tokens);
    if method != "GET" || headers.get("x-aws-ec2-metadata-token") != Some(&token) {
        return ("401 Unauthorized", String::new());
    }
    state.asked.push(path.into());
    match state.answers.get(path) {
        Some(text) => ("200 OK", text.clone()),
        None => ("404 Not Found", String::new()),
    }
}
