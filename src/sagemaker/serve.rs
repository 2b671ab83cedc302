//! `serve`: the model of a job as an endpoint.

use std::env;
use std::net::{Ipv4Addr, SocketAddr};

use super::layout::Layout;
use crate::error::{Error, Result};
use crate::job::Job;
use crate::serving::{self, ServeOptions};

const DEFAULT_PORT: u16 = 8080;
/// Where SageMaker's inference toolkit looks for another port, as in an endpoint of several containers.
const PORT_VARIABLE: &str = "SAGEMAKER_BIND_TO_PORT";

/// Serves the model that SageMaker unpacked, to whoever reaches the container, without a page.
///
/// # Errors
/// As [`serving::run`]; [`Error::BadData`] for a port that is none.
pub(super) fn run() -> Result<()> {
    let layout = Layout::from_env();
    let address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port()?));
    let job = Job { model_dir: layout.model_dir, ..Job::real() };
    serving::run(&ServeOptions { has_page: false, ..ServeOptions::new(address, &job) })
}

fn port() -> Result<u16> {
    match env::var(PORT_VARIABLE) {
        Ok(text) if !text.is_empty() => text.parse().map_err(|_| {
            Error::bad_data(
                PORT_VARIABLE,
                format!("{text:?} is no port"),
                "It has to be a number from 0 to 65535, or unset.",
            )
        }),
        _ => Ok(DEFAULT_PORT),
    }
}
