//! Sends stdin to a SageMaker endpoint and writes the answer to stdout:
//! `invoke_endpoint ENDPOINT CONTENT-TYPE`. Ends with 1 and the model's message when it refuses.

use std::error::Error;
use std::io::{self, Read, Write};
use std::process::ExitCode;

use aws_config::BehaviorVersion;
use aws_config::retry::RetryConfig;
use aws_sdk_sagemakerruntime::Client;
use aws_sdk_sagemakerruntime::primitives::Blob;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(endpoint), Some(content_type)) = (arguments.next(), arguments.next()) else {
        return Err("usage: invoke_endpoint ENDPOINT CONTENT-TYPE".into());
    };
    let mut body = Vec::new();
    io::stdin().read_to_end(&mut body)?;
    let config = aws_config::defaults(BehaviorVersion::latest())
        .retry_config(RetryConfig::disabled())
        .load()
        .await;
    let call = Client::new(&config).invoke_endpoint();
    let call = call.endpoint_name(endpoint).content_type(content_type).body(Blob::new(body));
    match call.send().await.map_err(|error| error.into_service_error()) {
        Ok(output) => {
            io::stdout().write_all(output.body().map_or(&[], |body| body.as_ref()))?;
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            eprintln!("{error:?}");
            Ok(ExitCode::FAILURE)
        }
    }
}
