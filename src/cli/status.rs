//! `ec2train status`

use super::{METRICS_HEADER, metrics_row, print};
use crate::artifact;
use crate::error::Result;
use crate::job::Job;
use crate::run::console::seconds;
use crate::run::lock::RunLock;
use crate::run::status::{self, Status};

pub fn run(job: &Job) -> Result<()> {
    let holder = RunLock::holder(&job.model_dir);
    let mut text = match (holder, status::read(&job.model_dir)) {
        (Some(holder), Some(status)) => {
            format!("running: {}\n{}", holder.trim(), progress(&status))
        }
        (Some(holder), None) => format!("running: {}\n", holder.trim()),
        (None, Some(status)) => format!("not running\n{}", last(&status)),
        (None, None) => "not running, no run yet\n".to_owned(),
    };
    match artifact::load_metadata(&job.model_dir) {
        Ok(metadata) => {
            let path = job.model_dir.join(artifact::MODEL_FILE);
            text += &format!("model: {}, trained {:.0}\n", path.display(), metadata.created);
            text += METRICS_HEADER;
            text += &metrics_row("valid", &metadata.metrics.valid);
            text += &metrics_row("test", &metadata.metrics.test);
        }
        Err(error) => text += &format!("model: {error}\n"),
    }
    print(&text)
}

fn progress(status: &Status) -> String {
    let elapsed = (status.updated - status.started).total(jiff::Unit::Second).unwrap_or(0.0);
    let mut text = format!("stage: {}", status.stage);
    if status.total > 0 {
        text += &format!(", {} of {}", status.done, status.total);
    }
    text + &format!(", {} since the start\n", seconds(elapsed))
}

fn last(status: &Status) -> String {
    let Status { started, updated, stage, .. } = status;
    match (stage.as_str(), &status.error) {
        ("done", _) => format!("last run: {started:.0} to {updated:.0}, done\n"),
        (_, Some(error)) => format!("last run: {started:.0} to {updated:.0}, failed: {error}\n"),
        _ => format!(
            "last run: {started:.0}, ended without a word in stage {stage} (last seen {updated:.0})\n"
        ),
    }
}
