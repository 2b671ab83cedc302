//! `ec2train train`

use super::{METRICS_HEADER, metrics_row, print};
use crate::artifact::{MODEL_FILE, Metadata, REPORT_FILE};
use crate::distributed::Topology;
use crate::error::Result;
use crate::job::{Job, Kind};
use crate::pipeline::{self, Trained};
use crate::run::console::seconds;

pub fn run(job: &Job) -> Result<()> {
    // Of several machines the first has the model to speak of.
    match pipeline::train_on(job, &Topology::from_env()?)? {
        Some(trained) => print(&summary(job, &trained)),
        None => Ok(()),
    }
}

fn summary(job: &Job, trained: &Trained) -> String {
    let Trained { metadata, model_path, is_new } = trained;
    let Metadata { metrics, data, cost, .. } = metadata;
    let num_images = data.num_train + data.num_valid + data.num_test;
    let mut text = METRICS_HEADER.to_owned();
    text += &metrics_row("train", &metrics.train);
    text += &metrics_row("valid", &metrics.valid);
    text += &metrics_row("test", &metrics.test);
    text += &format!(
        "{num_images} images used, {} skipped; {} in all ({} features, {} head), peak memory {} MB\n",
        data.skipped.len(),
        seconds(cost.total_seconds),
        seconds(cost.features_seconds),
        seconds(cost.fit_seconds),
        cost.peak_memory_bytes / 1_000_000
    );
    if metadata.kind == Kind::Sample {
        text += &format!("This is {}.\n", metadata.description);
    }
    let standing = job.model_dir.join(MODEL_FILE);
    text += &if !is_new {
        format!("{} is up to date: nothing has changed since that run\n", standing.display())
    } else if metadata.promoted {
        format!("Saved {}\n", standing.display())
    } else {
        format!("Kept {}; {} is unchanged\n", model_path.display(), standing.display())
    };
    let report = if metadata.promoted {
        job.model_dir.join(REPORT_FILE)
    } else {
        model_path.with_file_name(REPORT_FILE)
    };
    if *is_new && report.exists() {
        text += &format!("Report: {}\n", report.display());
    }
    text
}
