//! An HTTP client that holds the server to its OpenAPI description.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use serde_json::Value;
use ureq::Agent;
use ureq::http::Response;

use super::fake_model::DEADLINE;

const OPENAPI: &str = include_str!("../../src/serving/openapi.json");

#[derive(Debug, Clone)]
pub struct Client {
    pub address: SocketAddr,
    agent: Agent,
}

#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: ureq::http::HeaderMap,
    pub body: Vec<u8>,
}

impl Client {
    pub fn new(address: SocketAddr) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(DEADLINE))
            .proxy(None)
            .build();
        Client { address, agent: config.into() }
    }

    pub fn get(&self, path: &str) -> Reply {
        let request = self.agent.get(format!("http://{}{path}", self.address));
        Reply::new(request.call().unwrap()).documented("get", path)
    }

    /// `POST /invocations`
    pub fn invoke(&self, content_type: &str, body: &[u8]) -> Reply {
        self.invoke_with(&[("content-type", content_type)], "", body)
    }

    pub fn invoke_with(&self, headers: &[(&str, &str)], query: &str, body: &[u8]) -> Reply {
        let path = format!("/invocations{query}");
        let mut request = self.agent.post(format!("http://{}{path}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Reply::new(request.send(body).unwrap()).documented("post", &path)
    }

    /// The logits of one image.
    pub fn logits(&self, content_type: &str, body: &[u8]) -> Vec<f32> {
        let reply = self.invoke(content_type, body);
        assert_eq!(reply.status, 200, "{}", reply.text());
        let mut rows = reply.rows();
        assert_eq!(rows.len(), 1);
        rows.remove(0)
    }

    /// The value of a line of `/metrics`.
    pub fn metric(&self, name: &str) -> f64 {
        let text = self.get("/metrics").text();
        let line = text.lines().find(|line| line.starts_with(&format!("{name} ")));
        line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0.0)
    }

    /// A connection on which `bytes` were sent.
    pub fn raw(&self, bytes: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.write_all(bytes).unwrap();
        stream
    }

    /// A connection on which an image was sent.
    pub fn raw_invocation(&self, image: &str) -> TcpStream {
        self.raw(&invocation_bytes(image))
    }
}

pub fn invocation_bytes(image: &str) -> Vec<u8> {
    let head =
        "POST /invocations HTTP/1.1\r\nhost: x\r\ncontent-type: image/jpeg\r\ncontent-length";
    format!("{head}: {}\r\n\r\n{image}", image.len()).into_bytes()
}

/// Everything up to the end of the connection.
pub fn read_all(mut stream: TcpStream) -> String {
    let mut bytes = Vec::new();
    // A connection that is reset has said what it had to say.
    let _ = stream.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The head of the next answer.
pub fn read_head(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read(&mut byte).unwrap() == 0 {
            break;
        }
        bytes.push(byte[0]);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

impl Reply {
    fn new(response: Response<ureq::Body>) -> Self {
        let (parts, mut body) = response.into_parts();
        let body = body.read_to_vec().unwrap();
        Reply { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Logits `[N, C]`.
    pub fn rows(&self) -> Vec<Vec<f32>> {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// What went wrong, as the body and status name it.
    pub fn kind(&self) -> (u16, String) {
        let reply = self.json();
        assert_eq!(reply["request_id"], self.header("x-request-id"));
        assert!(!reply["error"].as_str().unwrap().is_empty());
        (self.status, reply["kind"].as_str().unwrap().to_owned())
    }

    /// Fails unless openapi.json has this answer.
    fn documented(self, method: &str, path: &str) -> Self {
        let openapi: Value = serde_json::from_str(OPENAPI).unwrap();
        let path = path.split('?').next().unwrap();
        let Some(operations) = openapi["paths"].get(path) else {
            // Pages for people and paths that are none.
            assert!(self.status == 404 || path == "/" || path.starts_with("/page."), "{path}");
            return self;
        };
        let Some(operation) = operations.get(method) else {
            assert_eq!(self.status, 405, "{method} {path}");
            return self;
        };
        let response = &operation["responses"][self.status.to_string()];
        assert!(response.is_object(), "{method} {path}: {} is not documented", self.status);
        let content_type = self.header("content-type").split(';').next().unwrap();
        assert!(response["content"][content_type].is_object(), "{path}: {content_type}");
        for name in response["headers"].as_object().unwrap().keys() {
            let is_optional = name == "X-Amzn-SageMaker-Custom-Attributes";
            assert!(is_optional || !self.header(&name.to_lowercase()).is_empty(), "{path}: {name}");
        }
        self
    }
}
