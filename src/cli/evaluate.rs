//! `ec2train evaluate`

use super::{METRICS_HEADER, metrics_row, print};
use crate::error::Result;
use crate::job::Job;
use crate::pipeline;

pub fn run(job: &Job) -> Result<()> {
    let evaluation = pipeline::evaluate_saved(job)?;
    let trained = &evaluation.metadata.metrics.test;
    let mut text = METRICS_HEADER.to_owned() + &metrics_row("test", &evaluation.test);
    if evaluation.test != *trained {
        text += &metrics_row("saved", trained);
        text += "saved: what model.json says of the test split at training\n";
    }
    for file in &evaluation.skipped {
        log::warn!("skipped {}: {}", file.path.display(), file.reason);
    }
    print(&text)
}
