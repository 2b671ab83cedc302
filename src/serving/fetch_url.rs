//! Fetching an image from an address that a client names.
//!
//! The client could mean an address that only this machine can reach: its own services, the private
//! network, the cloud's metadata service with the machine's credentials. So every address that a name
//! resolves to is checked before it is connected to, on every redirect again, and the connection goes
//! to the address that was checked.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use hyper::body::Bytes;
use ureq::http::Uri;
use ureq::http::header::CONTENT_TYPE;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};
use ureq::{Agent, Error};

use super::address::is_public;
use super::fault::Fault;
use super::options::Limits;

/// Redirects that are followed.
const MAX_REDIRECTS: u32 = 5;
/// Of a name; as many as the client has room for.
const MAX_ADDRESSES: usize = 16;
/// What servers call a file whose type they do not know, besides `image/...`.
const UNKNOWN_TYPES: [&str; 2] = ["application/octet-stream", "binary/octet-stream"];

/// A name's addresses.
pub type Lookup = fn(&str) -> io::Result<Vec<SocketAddr>>;
/// Whether the server may connect to an address.
pub type IsAllowed = fn(IpAddr) -> bool;

/// An HTTP client that only reaches the public internet.
#[derive(Debug, Clone)]
pub struct UrlFetcher {
    agent: Agent,
    max_bytes: usize,
}

impl UrlFetcher {
    /// By the system's resolver.
    pub fn new(limits: &Limits) -> Self {
        UrlFetcher::with(
            limits,
            |host_and_port| host_and_port.to_socket_addrs().map(Iterator::collect),
            is_public,
        )
    }

    /// Another resolver, which is given `host:port`, and another rule.
    pub fn with(limits: &Limits, lookup: Lookup, is_allowed: IsAllowed) -> Self {
        let config = Agent::config_builder()
            // A proxy would resolve the name itself, out of our sight.
            .proxy(None)
            .max_redirects(MAX_REDIRECTS)
            .timeout_global(Some(limits.fetch_timeout))
            .accept("image/*")
            .user_agent(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")))
            // No connection outlives the check of its address.
            .max_idle_connections(0)
            .build();
        let resolver = CheckedResolver { lookup, is_allowed };
        let agent = Agent::with_parts(config, DefaultConnector::default(), resolver);
        UrlFetcher { agent, max_bytes: limits.max_payload_bytes }
    }

    /// The content at `url`. Blocks up to the limit on time.
    ///
    /// # Errors
    /// [`Fault::UrlRefused`] for another scheme than http and https, a user or password in it, or an
    /// address that is not allowed; [`Fault::UrlFailed`] when the server cannot be reached, takes too
    /// long, answers with an error, or sends too much or no image.
    pub fn fetch(&self, url: &str) -> Result<Bytes, Fault> {
        let uri: Uri = url
            .parse()
            .map_err(|error| Fault::UrlRefused(format!("{url:?} is no address: {error}")))?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) {
            return Err(Fault::UrlRefused(format!(
                "{url:?} is not fetched: only http and https are"
            )));
        }
        if uri.authority().is_none_or(|authority| authority.as_str().contains('@')) {
            return Err(Fault::UrlRefused(format!(
                "{url:?} is not fetched: it has a user or no host"
            )));
        }
        let failed =
            |reason: String| Fault::UrlFailed(format!("{url:?} was not fetched: {reason}"));
        let mut response = self.agent.get(uri).call().map_err(|error| match refusal(&error) {
            Some(refusal) => Fault::UrlRefused(format!("{url:?} is not fetched: {refusal}")),
            None => failed(error.to_string()),
        })?;
        let content_type = response.headers().get(CONTENT_TYPE);
        let content_type = content_type.map(|value| String::from_utf8_lossy(value.as_bytes()));
        if let Some(content_type) = content_type.filter(|name| !may_be_image(name)) {
            return Err(failed(format!("it is {content_type:?}, not an image")));
        }
        let body = response.body_mut().with_config().limit(self.max_bytes as u64).read_to_vec();
        match body {
            Ok(bytes) => Ok(bytes.into()),
            Err(Error::BodyExceedsLimit(_)) => {
                Err(failed(format!("it has more than {} bytes", self.max_bytes)))
            }
            Err(error) => Err(failed(error.to_string())),
        }
    }
}

fn may_be_image(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence.starts_with("image/") || UNKNOWN_TYPES.contains(&essence.as_str())
}

/// The name's first address that may be connected to is the one that is connected to.
#[derive(Debug)]
struct CheckedResolver {
    lookup: Lookup,
    is_allowed: IsAllowed,
}

/// An address that must not be connected to.
#[derive(Debug, thiserror::Error)]
#[error("{0} is not a public address")]
struct NotPublic(IpAddr);

impl Resolver for CheckedResolver {
    fn resolve(
        &self,
        uri: &Uri,
        _: &ureq::config::Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        let default_port = if uri.scheme_str() == Some("https") { 443 } else { 80 };
        let host = uri.host().ok_or(Error::HostNotFound)?;
        let host_and_port = format!("{host}:{}", uri.port_u16().unwrap_or(default_port));
        let addresses = self.look_up(host_and_port, timeout)?;
        let mut resolved = self.empty();
        for address in addresses.into_iter().take(MAX_ADDRESSES) {
            // A name with a private address among public ones is no accident.
            if !(self.is_allowed)(address.ip()) {
                return Err(Error::Io(io::Error::other(NotPublic(address.ip()))));
            }
            resolved.push(address);
        }
        if resolved.is_empty() { Err(Error::HostNotFound) } else { Ok(resolved) }
    }
}

impl CheckedResolver {
    /// The system's resolver cannot be given a limit on time: it is left behind when it takes longer.
    fn look_up(
        &self,
        host_and_port: String,
        timeout: NextTimeout,
    ) -> Result<Vec<SocketAddr>, Error> {
        let (sender, receiver) = mpsc::sync_channel(1);
        let lookup = self.lookup;
        thread::Builder::new()
            .name("look up".into())
            .spawn(move || sender.send(lookup(&host_and_port)))
            .map_err(Error::Io)?;
        let limit: Duration = *timeout.after;
        match receiver.recv_timeout(limit) {
            Ok(addresses) => addresses.map_err(Error::Io),
            Err(_) => Err(Error::Timeout(timeout.reason)),
        }
    }
}

fn refusal(error: &Error) -> Option<&NotPublic> {
    match error {
        Error::Io(error) => error.get_ref()?.downcast_ref(),
        _ => None,
    }
}
