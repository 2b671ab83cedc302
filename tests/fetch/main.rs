//! Downloads against a server that does what networks do.

#![allow(clippy::unwrap_used)]

mod dataset;
mod download;
mod proxy;
mod server;
mod unpack;

use std::path::Path;
use std::time::Duration;

use ec2train::fetch::{Network, Source};
use sha2::{Digest, Sha256};

/// The program's settings with a tester's patience, and no proxy before the loopback interface.
fn impatient() -> Network {
    Network {
        connect_timeout: Duration::from_secs(2),
        stall_timeout: Duration::from_millis(400),
        max_failures: 3,
        max_unreachable: 2,
        first_pause: Duration::from_millis(1),
        proxy: None,
    }
}

/// Bytes without a short period, so that no wrong offset goes unnoticed; deflate gains nothing.
fn body(num_bytes: usize) -> Vec<u8> {
    let mut state = 1u32;
    let step = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..num_bytes).map(step).collect()
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn source(url: &str, dir: &Path, bytes: &[u8]) -> Source {
    Source::new(url, dir.join("weights/file")).with_sha256(sha256(bytes))
}

/// Names in `dir`, sorted.
fn names(dir: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
