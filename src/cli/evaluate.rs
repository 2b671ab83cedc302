//! `ec2train evaluate`

use super::{METRICS_HEADER, metrics_row, print};
use crate::error::Result;
use crate::job::Job;
use crate::pipeline;

pub fn run(job: &Job, by_views: bool) -> Result<()> {
    let evaluation = pipeline::evaluate_saved(job, by_views)?;
    let trained = &evaluation.metadata.metrics.test;
    let mut text = METRICS_HEADER.to_owned() + &metrics_row("test", &evaluation.test);
    if let Some(metrics) = &evaluation.test_by_views {
        text += &metrics_row("views", metrics);
        text += "views: mean logits over centre and corners of each image, mirrored too\n";
    }
    if evaluation.test != *trained {
        text += &metrics_row("saved", trained);
        text += "saved: what model.json says of the test split at training\n";
    }
    for file in &evaluation.skipped {
        log::warn!("skipped {}: {}", file.path.display(), file.reason);
    }
    print(&text)
}
