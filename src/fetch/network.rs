//! How patient a download is, and through which proxy it goes.

use std::time::Duration;

use ureq::{Agent, Proxy};

/// Settings of the HTTP client. `default()` is what the program uses; tests are less patient.
#[derive(Debug, Clone)]
pub struct Network {
    /// Resolving the name, and connecting with TLS, may each take this long.
    pub connect_timeout: Duration,
    /// Longest silence from the server, before and within the body. There is no limit on the whole:
    /// 1.1 GB may take an hour.
    pub stall_timeout: Duration,
    /// Failures in a row that end a download; one that brought a byte more begins a new row.
    pub max_failures: u32,
    /// The same while no server has answered at all: a machine without a way out should say so
    /// within seconds.
    pub max_unreachable: u32,
    /// Pause after the first failure; it doubles with each further one.
    pub first_pause: Duration,
    /// The proxy; by default the first of `ALL_PROXY`, `HTTPS_PROXY` and `HTTP_PROXY` (or in lower
    /// case) that is set, with the exceptions in `NO_PROXY`: `host`, `.suffix` or `*`, separated by
    /// commas without blanks.
    pub proxy: Option<Proxy>,
}

impl Default for Network {
    fn default() -> Self {
        Network {
            connect_timeout: Duration::from_secs(5),
            stall_timeout: Duration::from_secs(30),
            max_failures: 5,
            max_unreachable: 2,
            first_pause: Duration::from_secs(1),
            proxy: Proxy::try_from_env(),
        }
    }
}

impl Network {
    /// A client for `url`. Every status is an answer to it, not an error.
    pub(super) fn agent(&self, url: &str) -> Agent {
        Agent::config_builder()
            .http_status_as_error(false)
            // An address that starts encrypted must not be led away to an open connection.
            .https_only(url.starts_with("https://"))
            .proxy(self.proxy.clone())
            .user_agent(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")))
            .timeout_resolve(Some(self.connect_timeout))
            .timeout_connect(Some(self.connect_timeout))
            .timeout_recv_response(Some(self.stall_timeout))
            .timeout_per_read(Some(self.stall_timeout))
            .timeout_per_write(Some(self.stall_timeout))
            .build()
            .into()
    }
}
