//! One HTTP request for the rest of a file, with what its answer means.

use ureq::http::{HeaderMap, Response, StatusCode, header};
use ureq::{Agent, Body, Timeout};

use crate::error::Error;
use crate::fetch::network::Network;
use crate::fetch::partial::{Origin, Partial};

/// Why an attempt brought no whole file.
#[derive(Debug)]
pub(super) enum Failure {
    /// No server answered.
    Unreachable(String),
    /// Something that may be gone at the next attempt.
    Transient(String),
    /// Something that stays.
    Permanent(String),
    /// The trouble is on this side.
    Local(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Local(error)
    }
}

/// Asks for what `partial` lacks and prepares it for the body that is returned: its bytes follow
/// those that `partial` now has. `None` if nothing is lacking.
pub(super) fn request(
    agent: &Agent,
    network: &Network,
    url: &str,
    partial: &mut Partial,
) -> Result<Option<Body>, Failure> {
    if partial.is_complete() {
        return Ok(None);
    }
    let mut request = agent.get(url).header(header::ACCEPT_ENCODING, "identity");
    let validator = partial.origin().and_then(|origin| origin.validator.clone());
    let resumed = validator.filter(|_| partial.len() > 0);
    if let Some(validator) = &resumed {
        request = request
            .header(header::RANGE, format!("bytes={}-", partial.len()))
            .header(header::IF_RANGE, validator);
    }
    let response = request.call().map_err(|error| failure(error, network))?;
    match response.status() {
        StatusCode::OK => begin(url, response, partial).map(Some),
        StatusCode::PARTIAL_CONTENT if resumed.is_some() => proceed(response, partial).map(Some),
        StatusCode::RANGE_NOT_SATISFIABLE if resumed.is_some() => {
            // Everything is here already if the file ends where the bytes end.
            if total_of_range(response.headers()) == Some(partial.len()) {
                return Ok(None);
            }
            partial.clear()?;
            Err(Failure::Transient("the file is another one now: starting over".to_string()))
        }
        status => Err(refusal(status)),
    }
}

/// A whole file follows, whether or not a part was asked for.
fn begin(url: &str, response: Response<Body>, partial: &mut Partial) -> Result<Body, Failure> {
    if partial.len() > 0 {
        log::warn!("{url}: the server starts over: the file has changed or cannot be continued");
    }
    let headers = response.headers();
    let origin = Origin {
        url: url.to_string(),
        validator: validator(headers),
        total_bytes: response.body().content_length(),
    };
    partial.restart(origin)?;
    Ok(response.into_body())
}

/// The rest of a file follows, if it is the same file and the right rest.
fn proceed(response: Response<Body>, partial: &mut Partial) -> Result<Body, Failure> {
    let headers = response.headers();
    let expected = partial.origin().cloned();
    let same_version = validator(headers).is_none_or(|now| {
        expected.as_ref().and_then(|origin| origin.validator.as_ref()) == Some(&now)
    });
    let same_length = expected
        .and_then(|origin| origin.total_bytes)
        .is_none_or(|before| total_of_range(headers).is_none_or(|now| now == before));
    if start_of_range(headers) == Some(partial.len()) && same_version && same_length {
        return Ok(response.into_body());
    }
    partial.clear()?;
    Err(Failure::Transient("the server continued another file: starting over".to_string()))
}

/// What `If-Range` can take: a strong ETag, or the date of the last change.
fn validator(headers: &HeaderMap) -> Option<String> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    text(header::ETAG)
        .filter(|etag| etag.starts_with('"'))
        .or_else(|| text(header::LAST_MODIFIED))
        .map(str::to_string)
}

/// `500` of `Content-Range: bytes 500-999/1000`.
fn start_of_range(headers: &HeaderMap) -> Option<u64> {
    content_range(headers)?.0.split_once('-')?.0.parse().ok()
}

/// `1000` of `Content-Range: bytes 500-999/1000`, also of `bytes */1000`.
fn total_of_range(headers: &HeaderMap) -> Option<u64> {
    content_range(headers)?.1.parse().ok()
}

fn content_range(headers: &HeaderMap) -> Option<(&str, &str)> {
    let text = headers.get(header::CONTENT_RANGE)?.to_str().ok()?;
    text.strip_prefix("bytes ")?.split_once('/')
}

fn refusal(status: StatusCode) -> Failure {
    let reason = format!("the server answered {status}");
    match status {
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => Failure::Transient(reason),
        status if status.is_server_error() => Failure::Transient(reason),
        _ => Failure::Permanent(reason),
    }
}

/// What an error of the client means, before the answer or within its body.
pub(super) fn failure(error: ureq::Error, network: &Network) -> Failure {
    use std::io::ErrorKind;
    use ureq::Error;
    let connect_s = network.connect_timeout.as_secs_f32();
    let stall_s = network.stall_timeout.as_secs_f32();
    match error {
        Error::HostNotFound => {
            Failure::Unreachable("the host's name cannot be resolved".to_string())
        }
        Error::Timeout(Timeout::Resolve | Timeout::Connect) => {
            Failure::Unreachable(format!("no connection within {connect_s} s"))
        }
        Error::Timeout(_) => Failure::Transient(format!("no byte came for {stall_s} s")),
        Error::ConnectionFailed | Error::ConnectProxyFailed(_) => {
            Failure::Unreachable(error.to_string())
        }
        Error::Io(error) => match error.kind() {
            ErrorKind::UnexpectedEof => {
                Failure::Transient("the server broke the connection off".to_string())
            }
            ErrorKind::BrokenPipe
            | ErrorKind::ConnectionAborted
            | ErrorKind::ConnectionReset
            | ErrorKind::InvalidData => Failure::Transient(error.to_string()),
            // Refused, no route, or a name without an address, which has no kind of its own.
            _ => Failure::Unreachable(error.to_string()),
        },
        Error::BadUri(_)
        | Error::Http(_)
        | Error::InvalidProxyUrl
        | Error::RequireHttpsOnly(_)
        | Error::Rustls(_)
        | Error::Tls(_)
        | Error::TlsRequired
        | Error::RedirectFailed
        | Error::TooManyRedirects => Failure::Permanent(error.to_string()),
        _ => Failure::Transient(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::ToSocketAddrs;
    use ureq::http::HeaderValue;

    fn headers(pairs: &[(header::HeaderName, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(k, v)| (k.clone(), HeaderValue::from_static(v))).collect()
    }

    #[test]
    fn a_content_range_is_taken_apart() {
        let range = |text| headers(&[(header::CONTENT_RANGE, text)]);
        assert_eq!(start_of_range(&range("bytes 500-999/1000")), Some(500));
        assert_eq!(total_of_range(&range("bytes 500-999/1000")), Some(1000));
        assert_eq!(total_of_range(&range("bytes */1000")), Some(1000));
        assert_eq!(total_of_range(&range("bytes 500-999/*")), None);
        for broken in ["", "bytes", "bytes -/", "bytes x-y/z", "items 1-2/3"] {
            assert_eq!(start_of_range(&range(broken)), None, "{broken}");
            assert_eq!(total_of_range(&range(broken)).filter(|_| broken != "items 1-2/3"), None);
        }
    }

    #[test]
    fn a_weak_etag_is_no_validator() {
        let date = "Wed, 21 Oct 2015 07:28:00 GMT";
        let both = headers(&[(header::ETAG, "W/\"1\""), (header::LAST_MODIFIED, date)]);
        assert_eq!(validator(&both).as_deref(), Some(date));
        let strong = headers(&[(header::ETAG, "\"1\""), (header::LAST_MODIFIED, date)]);
        assert_eq!(validator(&strong).as_deref(), Some("\"1\""));
        assert_eq!(validator(&headers(&[])), None);
    }

    #[test]
    fn a_name_without_an_address_is_unreachable() {
        // Longer than a name may be, so that no name server is asked.
        let name = format!("{}.invalid", "x".repeat(64));
        let error = (name.as_str(), 80).to_socket_addrs().unwrap_err();
        let failure = failure(ureq::Error::Io(error), &Network::default());
        assert!(matches!(failure, Failure::Unreachable(_)), "{failure:?}");
    }
}
