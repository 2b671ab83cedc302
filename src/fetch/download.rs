//! One file from its address to its place, through whatever the network does.

use std::io::Read;
use std::path::Path;
use std::thread;

use ureq::{Agent, Body};

use crate::digest;
use crate::disk_space;
use crate::error::{Error, Result};
use crate::fetch::network::Network;
use crate::fetch::partial::Partial;
use crate::fetch::progress::{Progress, Task, megabytes};
use crate::fetch::reply::{self, Failure};
use crate::fetch::source::Source;
use crate::run::signals;

/// No file this program fetches is larger; an endless answer ends here.
const MAX_BYTES: u64 = 16 << 30;
/// Bytes taken from the network at a time.
const BLOCK_BYTES: usize = 1 << 17;

/// A file that is in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// Its SHA-256, 64 lowercase hex digits.
    pub sha256: String,
    /// Its length.
    pub num_bytes: u64,
    /// Whether it was there before, so that nothing was asked of the network.
    pub was_there: bool,
}

/// Brings `source` to its target, unless it is there already.
///
/// A broken transfer is continued, by this call or by a later one; failures may repeat
/// as often as `network` says, and begin to count afresh with every byte more. A digest other than the expected one earns one
/// fresh download, since the file may have been joined from two.
///
/// # Errors
/// [`Error::Download`] when the network or the server is at fault, [`Error::Io`] when the disk is,
/// [`Error::BadData`] when the target exists with other contents, [`Error::Busy`] when another
/// process downloads the same file.
pub fn fetch(source: &Source, network: &Network, progress: &Progress) -> Result<Fetched> {
    if source.target.exists() {
        return already_there(source);
    }
    log::info!("{}: downloading {}", source.label(), source.url);
    let mut partial = Partial::open(&source.target, &source.url)?;
    let mut task = progress.task(&source.label());
    if let Err(error) = complete(source, network, &mut partial, &mut task) {
        if partial.len() == 0 {
            partial.remove()?;
        }
        return Err(error);
    }
    let fetched = Fetched { sha256: partial.sha256(), num_bytes: partial.len(), was_there: false };
    partial.finish(&source.target)?;
    log::info!(
        "{}: {} in {:.0} s, SHA-256 {}{}",
        source.label(),
        megabytes(fetched.num_bytes),
        task.elapsed().as_secs_f64(),
        fetched.sha256,
        if source.sha256.is_some() {
            " as expected"
        } else {
            " (no published one to compare with)"
        },
    );
    Ok(fetched)
}

fn already_there(source: &Source) -> Result<Fetched> {
    let (sha256, num_bytes) = digest::of_file(&source.target)?;
    match &source.sha256 {
        Some(expected) if *expected != sha256 => Err(Error::bad_data(
            &source.target,
            format!("SHA-256 is {sha256}, but {} has {expected}", source.url),
            "Rename or delete this file, then fetch again.",
        )),
        _ => {
            log::info!("{}: already there", source.target.display());
            Ok(Fetched { sha256, num_bytes, was_there: true })
        }
    }
}

/// Repeats attempts until `partial` is the whole, right file.
fn complete(
    source: &Source,
    network: &Network,
    partial: &mut Partial,
    task: &mut Task,
) -> Result<()> {
    let agent = network.agent(&source.url);
    let mut most_bytes = partial.len();
    let mut num_failures = 0;
    let mut answered = false;
    let mut wrong_before = false;
    loop {
        let (reason, max_failures) = match attempt(source, network, &agent, partial, task) {
            Ok(()) => match wrong_digest(source, partial) {
                None => return Ok(()),
                Some(reason) => {
                    partial.clear()?;
                    if wrong_before {
                        return Err(source.error(reason, WRONG_BYTES));
                    }
                    wrong_before = true;
                    most_bytes = 0;
                    log::warn!("{}: {reason}; downloading it afresh", source.label());
                    continue;
                }
            },
            Err(Failure::Local(error)) => return Err(error),
            Err(Failure::Permanent(reason)) => return Err(source.error(reason, REFUSED)),
            Err(Failure::Transient(reason)) => {
                answered = true;
                (reason, network.max_failures)
            }
            Err(Failure::Unreachable(reason)) if answered => (reason, network.max_failures),
            Err(Failure::Unreachable(reason)) => (reason, network.max_unreachable),
        };
        if partial.len() > most_bytes {
            most_bytes = partial.len();
            num_failures = 0;
        }
        num_failures += 1;
        if num_failures >= max_failures {
            return Err(give_up(source, partial, reason));
        }
        let pause = network.first_pause * 2u32.saturating_pow(num_failures - 1);
        log::warn!(
            "{}: {reason}; trying again in {:.0} s from {}",
            source.label(),
            pause.as_secs_f32(),
            megabytes(partial.len())
        );
        thread::sleep(pause);
        signals::check()?;
    }
}

/// One request and its body.
fn attempt(
    source: &Source,
    network: &Network,
    agent: &Agent,
    partial: &mut Partial,
    task: &mut Task,
) -> Result<(), Failure> {
    let Some(body) = reply::request(agent, network, &source.url, partial)? else {
        return Ok(());
    };
    let total_bytes = partial.origin().and_then(|origin| origin.total_bytes);
    if let Some(total) = total_bytes {
        let unpacked = if source.is_archive { total } else { 0 };
        let needed = total.saturating_sub(partial.len()).saturating_add(unpacked);
        disk_space::require(partial.path().parent().unwrap_or(Path::new(".")), needed)?;
    }
    task.set(partial.len(), total_bytes);
    receive(network, body, partial, task)?;
    match total_bytes {
        Some(total) if partial.len() < total => Err(Failure::Transient(format!(
            "the server ended after {} of {total} bytes",
            partial.len()
        ))),
        Some(total) if partial.len() > total => {
            let reason =
                format!("the server sent {} bytes after announcing {total}", partial.len());
            partial.clear()?;
            Err(Failure::Transient(reason))
        }
        _ => Ok(()),
    }
}

/// Moves the body to `partial`.
fn receive(
    network: &Network,
    body: Body,
    partial: &mut Partial,
    task: &mut Task,
) -> Result<(), Failure> {
    let mut reader = body.into_reader();
    let mut block = vec![0; BLOCK_BYTES];
    loop {
        signals::check()?;
        let n = reader.read(&mut block).map_err(|error| {
            match reply::failure(ureq::Error::from(error), network) {
                // The server was there a moment ago.
                Failure::Unreachable(reason) => Failure::Transient(reason),
                failure => failure,
            }
        })?;
        if n == 0 {
            return Ok(());
        }
        partial.append(&block[..n])?;
        task.advance(n as u64);
        if partial.len() > MAX_BYTES {
            partial.clear()?;
            return Err(Failure::Permanent(format!("it is longer than {}", megabytes(MAX_BYTES))));
        }
    }
}

fn wrong_digest(source: &Source, partial: &Partial) -> Option<String> {
    let expected = source.sha256.as_ref()?;
    let actual = partial.sha256();
    (actual != *expected)
        .then(|| format!("its {} bytes have SHA-256 {actual}, not {expected}", partial.len()))
}

const WRONG_BYTES: &str = "What arrived is deleted. Something between here and the server, such \
    as a proxy or a login page, may have answered in its place: try another network.";
const REFUSED: &str = "The address may have changed: look it up in a browser.";
const UNREACHABLE: &str = "Check the network and its firewall; a proxy is taken from HTTPS_PROXY.";

fn give_up(source: &Source, partial: &Partial, reason: String) -> Error {
    if partial.len() == 0 {
        return source.error(reason, UNREACHABLE);
    }
    let kept = format!(
        "{} are kept in {}: start again to go on from there.",
        megabytes(partial.len()),
        partial.path().display()
    );
    source.error(reason, &kept)
}
