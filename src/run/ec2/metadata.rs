//! The instance metadata service (IMDSv2), through which an EC2 instance learns about itself.

use std::env;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use ureq::Agent;
use ureq::http::{Response, StatusCode};

use crate::config::{METADATA_ENDPOINT, METADATA_TIMEOUT};

/// How long the service shall accept a token. Six hours is the most that it grants.
const TOKEN_LIFE: Duration = Duration::from_secs(6 * 3600);
/// No answer is longer: the identity document has about 500 bytes.
const MAX_BYTES: u64 = 64 * 1024;

/// A client of the service, with its token.
#[derive(Debug)]
pub struct MetadataService {
    endpoint: String,
    agent: Agent,
    token: Option<Token>,
}

#[derive(Debug)]
struct Token {
    value: String,
    renew_at: Instant,
}

/// The service did not answer, or not as it should.
#[derive(Debug, thiserror::Error)]
#[error("the metadata service of EC2: {0}")]
pub struct Unavailable(String);

impl From<ureq::Error> for Unavailable {
    fn from(error: ureq::Error) -> Self {
        Unavailable(error.to_string())
    }
}

impl MetadataService {
    /// The service of this machine; `None` where there is none. Sends nothing.
    ///
    /// As in the AWS SDKs, `AWS_EC2_METADATA_DISABLED=true` turns it off and
    /// `AWS_EC2_METADATA_SERVICE_ENDPOINT` names another address.
    pub fn detect() -> Option<Self> {
        let variable = |name| env::var(name).ok().filter(|value| !value.is_empty());
        if variable("AWS_EC2_METADATA_DISABLED").is_some_and(|v| v.eq_ignore_ascii_case("true")) {
            return None;
        }
        match variable("AWS_EC2_METADATA_SERVICE_ENDPOINT") {
            Some(endpoint) => Some(Self::at(&endpoint)),
            None => is_ec2("/sys".as_ref()).then(|| Self::at(METADATA_ENDPOINT)),
        }
    }

    /// The service at an address, as in `http://169.254.169.254`.
    pub fn at(endpoint: &str) -> Self {
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            // The service is on this machine: never through a proxy, never led elsewhere.
            .proxy(None)
            .max_redirects(0)
            .timeout_global(Some(METADATA_TIMEOUT))
            .build()
            .into();
        let endpoint = endpoint.trim_end_matches('/').to_owned();
        MetadataService { endpoint, agent, token: None }
    }

    /// The text at `path`, as in `/latest/meta-data/instance-id`; `None` when there is no such thing.
    ///
    /// # Errors
    /// [`Unavailable`] without an answer within [`METADATA_TIMEOUT`], or with a refusal.
    pub fn get(&mut self, path: &str) -> Result<Option<String>, Unavailable> {
        let mut response = self.request(path)?;
        // The token has expired, as after hibernation: once more with a new one.
        if response.status() == StatusCode::UNAUTHORIZED {
            self.token = None;
            response = self.request(path)?;
        }
        match response.status() {
            StatusCode::OK => Ok(Some(text(response)?)),
            StatusCode::NOT_FOUND => Ok(None),
            status => Err(Unavailable(format!("{path}: {status}"))),
        }
    }

    fn request(&mut self, path: &str) -> Result<Response<ureq::Body>, Unavailable> {
        let url = format!("{}{path}", self.endpoint);
        let token = self.token()?;
        Ok(self.agent.get(url).header("X-aws-ec2-metadata-token", token).call()?)
    }

    /// The token, renewed long before the service stops accepting it.
    fn token(&mut self) -> Result<String, Unavailable> {
        if let Some(token) = self.token.as_ref().filter(|token| Instant::now() < token.renew_at) {
            return Ok(token.value.clone());
        }
        let seconds = TOKEN_LIFE.as_secs().to_string();
        let response = self
            .agent
            .put(format!("{}/latest/api/token", self.endpoint))
            .header("X-aws-ec2-metadata-token-ttl-seconds", seconds)
            .send_empty()?;
        if response.status() != StatusCode::OK {
            return Err(Unavailable(format!("no token: {}", response.status())));
        }
        let value = text(response)?;
        self.token =
            Some(Token { value: value.clone(), renew_at: Instant::now() + TOKEN_LIFE / 2 });
        Ok(value)
    }
}

fn text(mut response: Response<ureq::Body>) -> Result<String, Unavailable> {
    Ok(response.body_mut().with_config().limit(MAX_BYTES).read_to_string()?)
}

/// Whether this machine says that it is an EC2 instance, in files below `sys`. Looking there keeps
/// all other machines from waiting for a service that they do not have.
fn is_ec2(sys: &Path) -> bool {
    let starts = |file: &str, prefix: &str| {
        let text = fs::read_to_string(sys.join(file)).unwrap_or_default();
        text.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    };
    // The hypervisor Nitro, and bare metal.
    starts("devices/virtual/dmi/id/sys_vendor", "Amazon EC2")
        || starts("devices/virtual/dmi/id/board_vendor", "Amazon EC2")
        // Xen, as of t2.
        || starts("hypervisor/uuid", "ec2")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_is_known_by_its_firmware() {
        let sys = tempfile::tempdir().unwrap();
        assert!(!is_ec2(sys.path()));
        for (file, text, expected) in [
            ("devices/virtual/dmi/id/sys_vendor", "QEMU\n", false),
            ("devices/virtual/dmi/id/sys_vendor", "Amazon EC2\n", true),
            ("hypervisor/uuid", "EC2E1916-9099-7CAF-FD21-012345ABCDEF\n", true),
        ] {
            let path = sys.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            assert_eq!(is_ec2(sys.path()), expected, "{text}");
            fs::remove_file(path).unwrap();
        }
    }

    #[test]
    fn a_service_that_does_not_answer_takes_no_longer_than_the_limit() {
        // Accepts connections, since the kernel does that, and never answers.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let started = Instant::now();
        let error = MetadataService::at(&endpoint).get("/latest/meta-data/instance-id");
        assert!(error.is_err());
        assert!(started.elapsed() < METADATA_TIMEOUT * 5, "{:?}", started.elapsed());
    }
}
