//! Images that are named by their address.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, ToSocketAddrs};
use std::thread;
use std::time::Duration;

use ec2train::serving::Limits;
use ec2train::serving::address::is_public;
use ec2train::serving::fault::Fault;
use ec2train::serving::fetch_url::UrlFetcher;
use serde_json::json;

use super::fake_model::logits;
use super::server::{Server, options};

/// Stands in for an address of the public internet.
const PUBLIC: [u8; 4] = [127, 0, 0, 2];

/// Serves files at the stand-in, and sees to it that nobody connects to this machine otherwise.
struct Web {
    port: u16,
    trap: TcpListener,
}

impl Web {
    fn start() -> Self {
        let listener = TcpListener::bind(SocketAddr::from((PUBLIC, 0))).unwrap();
        let port = listener.local_addr().unwrap().port();
        let trap = TcpListener::bind("127.0.0.1:0").unwrap();
        trap.set_nonblocking(true).unwrap();
        let trap_port = trap.local_addr().unwrap().port();
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                thread::spawn(move || {
                    let mut head = [0; 2048];
                    let len = stream.read(&mut head).unwrap_or(0);
                    let head = String::from_utf8_lossy(&head[..len]).into_owned();
                    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
                    let _ = stream.write_all(&answer(&path, port, trap_port));
                    if path == "/slow" {
                        thread::sleep(Duration::from_secs(120));
                    }
                });
            }
        });
        Web { port, trap }
    }

    fn url(&self, path: &str) -> String {
        format!("http://public.test:{}{path}", self.port)
    }

    fn trap_port(&self) -> u16 {
        self.trap.local_addr().unwrap().port()
    }

    fn assert_untouched(&self) {
        let error = self.trap.accept().expect_err("it was connected to");
        assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
    }
}

fn answer(path: &str, port: u16, trap_port: u16) -> Vec<u8> {
    let ok = |content_type: &str, body: &str| {
        let head = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type";
        format!("{head}: {content_type}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
    };
    let redirect = |target: &str| {
        format!(
            "HTTP/1.1 302 Found\r\nconnection: close\r\nlocation: {target}\r\ncontent-length: 0\r\n\r\n"
        )
    };
    match path {
        "/picture.jpg" => ok("image/jpeg", "a picture"),
        "/unknown" => ok("binary/octet-stream", "a picture"),
        "/page" => ok("text/html; charset=utf-8", "<p>"),
        "/large" => ok("image/jpeg", &"x".repeat(70_000)),
        "/endless" => {
            let head = "HTTP/1.1 200 OK\r\ncontent-type: image/jpeg\r\n\r\n";
            [head, &"x".repeat(70_000)].concat()
        }
        "/slow" => {
            "HTTP/1.1 200 OK\r\ncontent-type: image/jpeg\r\ncontent-length: 9\r\n\r\na".into()
        }
        "/moved" => redirect("/picture.jpg"),
        "/loop" => redirect("/loop"),
        "/to-loopback" => redirect(&format!("http://127.0.0.1:{trap_port}/picture.jpg")),
        "/to-name" => redirect(&format!("http://private.test:{trap_port}/picture.jpg")),
        "/to-v6" => redirect(&format!("http://[::1]:{trap_port}/picture.jpg")),
        "/to-mapped" => redirect(&format!("http://[::ffff:127.0.0.1]:{trap_port}/picture.jpg")),
        "/to-metadata" => redirect("http://169.254.169.254/latest/meta-data/"),
        "/to-file" => redirect("file:///etc/passwd"),
        "/twice" => redirect(&format!("http://public.test:{port}/to-loopback")),
        _ => "HTTP/1.1 404 Not Found\r\nconnection: close\r\ncontent-length: 0\r\n\r\n".into(),
    }
    .into_bytes()
}

fn fetcher(limits: &Limits) -> UrlFetcher {
    let lookup = |host_and_port: &str| {
        let (host, port) = host_and_port.rsplit_once(':').unwrap();
        let port: u16 = port.parse().unwrap();
        let addresses: &[&str] = match host {
            "public.test" => &["127.0.0.2"],
            "private.test" => &["127.0.0.1"],
            "v6.test" => &["::1"],
            "metadata.test" => &["169.254.169.254"],
            "both.test" => &["127.0.0.2", "10.0.0.1"],
            "nowhere.test" => &[],
            _ => return host_and_port.to_socket_addrs().map(Iterator::collect),
        };
        Ok(addresses.iter().map(|ip| SocketAddr::new(ip.parse().unwrap(), port)).collect())
    };
    UrlFetcher::with(limits, lookup, |ip| ip == IpAddr::from(PUBLIC) || is_public(ip))
}

fn limits() -> Limits {
    Limits { max_payload_bytes: 64_000, ..Limits::default() }
}

#[test]
fn an_image_is_fetched_and_redirects_are_followed() {
    let web = Web::start();
    let server = Server::without_model(options(), Some(fetcher(&limits())));
    server.load("first");
    for path in ["/picture.jpg", "/unknown", "/moved"] {
        let body = json!({"url": web.url(path)}).to_string();
        assert_eq!(server.client.logits("application/json", body.as_bytes()), logits(b"a picture"));
    }
    let body = json!({"instances": [{"url": web.url("/moved")}, {"image": "YQ=="}]}).to_string();
    let reply = server.client.invoke("application/json", body.as_bytes());
    assert_eq!(reply.rows(), [logits(b"a picture"), logits(b"a")]);
    let body = json!({"url": web.url("/to-loopback")}).to_string();
    let reply = server.client.invoke("application/json", body.as_bytes());
    assert_eq!(reply.kind(), (400, "url_refused".into()));
}

#[test]
fn no_address_of_this_machine_or_its_network_is_connected_to() {
    let web = Web::start();
    let fetcher = fetcher(&limits());
    let port = web.trap_port();
    let mut urls: Vec<String> = [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "0.0.0.0",
        "localhost",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "private.test",
        "v6.test",
    ]
    .iter()
    .map(|host| format!("http://{host}:{port}/picture.jpg"))
    .collect();
    urls.extend(
        [
            "http://169.254.169.254/latest/meta-data/",
            "http://metadata.test/",
            "http://both.test/",
            "http://169.254.170.2/v2/credentials",
            "http://[fd00:ec2::254]/",
            "http://10.0.0.1/",
            "http://192.168.0.1/",
            "https://127.0.0.1/",
            "file:///etc/passwd",
            "ftp://example.org/a",
            "gopher://127.0.0.1:70/",
            "http://user@public.test/",
            "http:///picture.jpg",
            "/picture.jpg",
            "unix:/run/docker.sock",
            "",
            "http://",
        ]
        .map(String::from),
    );
    let redirects = ["/to-loopback", "/to-name", "/to-v6", "/to-mapped", "/to-metadata", "/twice"];
    urls.extend(redirects.map(|path| web.url(path)));
    for url in urls {
        let result = fetcher.fetch(&url);
        // Some ways to write a number are no address to the system's resolver.
        let is_refused = matches!(result, Err(Fault::UrlRefused(_)))
            || (url.contains("//0") && matches!(result, Err(Fault::UrlFailed(_))));
        assert!(is_refused, "{url}: {result:?}");
    }
    web.assert_untouched();
    // The client that the program uses allows no stand-in.
    let url = format!("http://127.0.0.2:{}/picture.jpg", web.port);
    assert!(matches!(UrlFetcher::new(&limits()).fetch(&url), Err(Fault::UrlRefused(_))));
}

#[test]
fn what_is_no_image_too_large_or_too_slow_is_not_waited_for() {
    let web = Web::start();
    let mut impatient = limits();
    let fetcher = fetcher(&impatient);
    for (path, words) in [
        ("/page", "not an image"),
        ("/large", "more than 64000 bytes"),
        ("/endless", "more than 64000 bytes"),
        ("/loop", "redirect"),
        ("/to-file", ""),
        ("/missing", "404"),
    ] {
        match fetcher.fetch(&web.url(path)) {
            Err(Fault::UrlFailed(message)) => assert!(message.contains(words), "{message}"),
            other => panic!("{path}: {other:?}"),
        }
    }
    assert!(matches!(fetcher.fetch("http://nowhere.test/"), Err(Fault::UrlFailed(_))));
    impatient.fetch_timeout = Duration::from_millis(300);
    let impatient = self::fetcher(&impatient);
    assert!(matches!(impatient.fetch(&web.url("/slow")), Err(Fault::UrlFailed(_))));
}
