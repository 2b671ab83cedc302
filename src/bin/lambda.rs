//! The Lambda function: calls the endpoint that ENDPOINT_NAME names. See `ec2train::lambda`.

use std::time::{Duration, Instant, SystemTime};

use anyhow::Context;
use ec2train::lambda::aws::{ENDPOINT_NAME, S3, SageMaker, load_config};
use ec2train::lambda::{Failure, Handler};
use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use serde_json::Value;

/// For emulators whose deadline has passed before they ask, as cargo-lambda's.
const WITHOUT_DEADLINE: Duration = Duration::from_secs(30);

fn main() -> anyhow::Result<()> {
    // One thread: an environment has one event at a time, and waits for most of it.
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(run())
}

async fn run() -> anyhow::Result<()> {
    let endpoint_name = std::env::var(ENDPOINT_NAME)
        .with_context(|| format!("set {ENDPOINT_NAME} to the name of the SageMaker endpoint"))?;
    let config = load_config().await;
    let handler = Handler::new(SageMaker::new(&config, endpoint_name), S3::new(&config));
    let handler = &handler;
    let service = service_fn(|event: LambdaEvent<Value>| async move {
        let deadline = Instant::now() + time_left(event.context.deadline());
        handler.handle(&event.payload, deadline).await.map_err(diagnostic)
    });
    lambda_runtime::run(service).await.map_err(|error| anyhow::anyhow!(error))
}

fn time_left(deadline: SystemTime) -> Duration {
    deadline.duration_since(SystemTime::now()).unwrap_or(WITHOUT_DEADLINE)
}

fn diagnostic(failure: Failure) -> Diagnostic {
    Diagnostic { error_type: failure.kind().to_owned(), error_message: failure.to_string() }
}
