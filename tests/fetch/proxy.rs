//! The proxy of the environment.

use std::env;
use std::process::Command;

use ec2train::fetch::{Network, Progress, Source, fetch};
use tempfile::tempdir;

use crate::impatient;
use crate::server::{Server, send};

/// Fetches from a host that only a proxy could find; run by the tests below in a process of its
/// own, whose environment names the proxy.
#[test]
#[ignore = "the other half of the tests of the proxy"]
fn fetch_in_this_environment() {
    let dir = tempdir().unwrap();
    let network = Network { proxy: Network::default().proxy, ..impatient() };
    let source = Source::new("https://weights.invalid/file", dir.path().join("file"));
    let _ = fetch(&source, &network, &Progress::lines());
}

/// Lines of the requests that reach a proxy at `HTTPS_PROXY` with this `NO_PROXY`.
fn asked_of_the_proxy(no_proxy: &str) -> Vec<String> {
    let proxy = Server::start(|_, s| send(s, "403 Forbidden", &[], b""));
    let status = Command::new(env::current_exe().unwrap())
        .args(["--exact", "proxy::fetch_in_this_environment", "--ignored"])
        .env("HTTPS_PROXY", proxy.url.trim_end_matches("/file"))
        .env("NO_PROXY", no_proxy)
        .env_remove("ALL_PROXY")
        .env_remove("all_proxy")
        .output()
        .unwrap()
        .status;
    assert!(status.success());
    proxy.requests().into_iter().map(|request| request.line).collect()
}

#[test]
fn https_proxy_is_asked_to_connect() {
    let lines = asked_of_the_proxy("");
    assert!(!lines.is_empty());
    assert!(lines[0].starts_with("CONNECT weights.invalid:443 "), "{lines:?}");
}

#[test]
fn no_proxy_goes_around_it() {
    assert_eq!(asked_of_the_proxy(".invalid"), Vec::<String>::new());
}
