//! A model as an endpoint.

use std::fs;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use ureq::Agent;

use super::common::text;
use super::container::{Container, finished};

#[test]
fn what_a_job_made_is_served_as_sagemaker_asks_for_it() {
    let container = Container::with_features();
    let output = container.command(&["serve"]).env("SAGEMAKER_BIND_TO_PORT", "0").output().unwrap();
    assert_eq!(output.status.code(), Some(66), "{}", text(&output.stderr));
    container.train_well(&[]);

    let mut process = container.start_with(&["serve"], &[("SAGEMAKER_BIND_TO_PORT", "0")]);
    let after = process.wait_for("listening on http://0.0.0.0:").unwrap();
    let url = format!("http://127.0.0.1:{}", after.split(';').next().unwrap());
    process.wait_for("ready: ").unwrap();

    let agent: Agent = Agent::config_builder()
        .proxy(None)
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(60)))
        .build()
        .into();
    let status = |path: &str| agent.get(format!("{url}{path}")).call().unwrap().status().as_u16();
    assert_eq!(status("/ping"), 200);
    // No page: whoever reaches an endpoint is a program.
    assert_eq!(status("/"), 404);
    let jpeg = fs::read(&finished().images("test", 0)[0]).unwrap();
    let mut reply = agent
        .post(format!("{url}/invocations"))
        .content_type("image/jpeg")
        .send(&jpeg[..])
        .unwrap();
    let body = reply.body_mut().read_to_string().unwrap();
    let logits: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(logits[0].as_array().unwrap().len(), 4, "{logits}");
    assert_ne!(logits[0], json!([0.0, 0.0, 0.0, 0.0]));

    kill_process(Pid::from_child(&process.child), Signal::TERM).unwrap();
    assert_eq!(process.child.wait().unwrap().code(), Some(0), "{}", process.log());
}

#[test]
fn a_port_that_is_none_is_refused() {
    let container = Container::new();
    let output =
        container.command(&["serve"]).env("SAGEMAKER_BIND_TO_PORT", "http").output().unwrap();
    assert_eq!(output.status.code(), Some(65));
    assert!(text(&output.stderr).contains("SAGEMAKER_BIND_TO_PORT"), "{}", text(&output.stderr));
}
