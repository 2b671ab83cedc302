//! The hosts of a job.

use std::env;
use std::path::Path;

use serde::Deserialize;

use super::config_file;
use super::layout::Layout;
use crate::error::{Error, Result};

/// On which hosts a job runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resources {
    /// Their names, sorted.
    pub hosts: Vec<String>,
    /// This one's.
    pub current_host: String,
}

#[derive(Deserialize)]
struct ResourceConfig {
    current_host: String,
    hosts: Vec<String>,
}

impl Resources {
    /// As resourceconfig.json says; without it `SM_HOSTS` and `SM_CURRENT_HOST`, then this host alone.
    pub(super) fn read(layout: &Layout) -> Result<Self> {
        let path = layout.config_path("resourceconfig.json");
        if let Some(config) = config_file::read(&path)? {
            return Resources::new(config, &path);
        }
        let variable = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
        let Some(hosts) = variable("SM_HOSTS") else { return Ok(Resources::local()) };
        let hosts = serde_json::from_str(&hosts).map_err(|error| {
            let remedy = r#"It has to be a list in JSON: ["algo-1", "algo-2"]."#;
            Error::bad_data("SM_HOSTS", format!("cannot be understood: {error}"), remedy)
        })?;
        let config =
            ResourceConfig { current_host: variable("SM_CURRENT_HOST").unwrap_or_default(), hosts };
        Resources::new(config, Path::new("SM_HOSTS"))
    }

    fn new(config: ResourceConfig, source: &Path) -> Result<Self> {
        let ResourceConfig { current_host, mut hosts } = config;
        hosts.sort();
        hosts.dedup();
        if !hosts.contains(&current_host) {
            return Err(Error::bad_data(
                source,
                format!("the current host {current_host:?} is not one of {hosts:?}"),
                "Each host of a job has to be told its own name, which is one of them.",
            ));
        }
        Ok(Resources { hosts, current_host })
    }

    /// One host, which nobody has to find.
    fn local() -> Self {
        let host = "localhost".to_owned();
        Resources { hosts: vec![host.clone()], current_host: host }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn read(json: &str) -> Result<Resources> {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::at(dir.path());
        let path = layout.config_path("resourceconfig.json");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, json).unwrap();
        Resources::read(&layout)
    }

    #[test]
    fn hosts_are_sorted_by_name() {
        let resources = read(
            r#"{"current_host": "algo-2", "hosts": ["algo-2", "algo-10", "algo-1"],
                "current_instance_type": "ml.m5.xlarge"}"#,
        )
        .unwrap();
        assert_eq!(resources.hosts, ["algo-1", "algo-10", "algo-2"]);
        assert_eq!(resources.current_host, "algo-2");
    }

    #[test]
    fn a_host_that_is_not_of_the_job_is_an_error() {
        let error = read(r#"{"current_host": "algo-3", "hosts": ["algo-1"]}"#).unwrap_err();
        assert_eq!(error.exit_code(), 65);
        assert!(error.to_string().contains("resourceconfig.json"), "{error}");
        assert_eq!(read("{").unwrap_err().exit_code(), 65);
    }
}
