//! `ec2train status`

use std::path::PathBuf;

use jiff::Timestamp;
use serde::Serialize;

use super::{METRICS_HEADER, metrics_row, print, print_json};
use crate::artifact::{self, SplitMetrics};
use crate::error::Result;
use crate::job::Job;
use crate::run::console::seconds;
use crate::run::lock::RunLock;
use crate::run::status::{self, Status};
use crate::telemetry;

/// What there is to know, from outside of the run.
#[derive(Debug, Serialize)]
struct Report {
    running: bool,
    /// Who holds the lock since when.
    holder: Option<String>,
    /// The running or last run.
    run: Option<Status>,
    /// What the running run writes as it goes on.
    metrics: Option<PathBuf>,
    /// The standing model.
    model: Option<StandingModel>,
    /// Why there is none.
    model_error: Option<String>,
}

#[derive(Debug, Serialize)]
struct StandingModel {
    path: PathBuf,
    created: Timestamp,
    metrics: SplitMetrics,
}

pub fn run(job: &Job, json: bool) -> Result<()> {
    let report = look(job);
    if json { print_json(&report) } else { print(&text(&report)) }
}

fn look(job: &Job) -> Report {
    let holder = RunLock::holder(&job.model_dir);
    let model = artifact::load_metadata(&job.model_dir).map(|metadata| StandingModel {
        path: artifact::model_path(&job.model_dir),
        created: metadata.created,
        metrics: metadata.metrics,
    });
    let (model, model_error) = match model {
        Ok(model) => (Some(model), None),
        Err(error) => (None, Some(error.to_string())),
    };
    let metrics = Some(telemetry::live_metrics_path(&job.model_dir))
        .filter(|path| holder.is_some() && path.exists());
    Report {
        running: holder.is_some(),
        holder,
        run: status::read(&job.model_dir),
        metrics,
        model,
        model_error,
    }
}

fn text(report: &Report) -> String {
    let mut text = match (&report.holder, &report.run) {
        (Some(holder), Some(run)) => {
            format!("running: {holder}\n{}{}", progress(run), metrics(report))
        }
        (Some(holder), None) => format!("running: {holder}\n"),
        (None, Some(run)) => format!("not running\n{}", last(run)),
        (None, None) => "not running, no run yet\n".to_owned(),
    };
    if let Some(model) = &report.model {
        text += &format!("model: {}, trained {:.0}\n", model.path.display(), model.created);
        text += METRICS_HEADER;
        text += &metrics_row("valid", &model.metrics.valid);
        text += &metrics_row("test", &model.metrics.test);
    }
    if let Some(error) = &report.model_error {
        text += &format!("model: {error}\n");
    }
    text
}

fn progress(run: &Status) -> String {
    let elapsed = (run.updated - run.started).total(jiff::Unit::Second).unwrap_or(0.0);
    let mut text = format!("stage: {}", run.stage);
    if run.total > 0 {
        text += &format!(", {} of {}", run.done, run.total);
    }
    if let Some(rate) = run.rate {
        text += &format!(", {rate:.1}/s");
    }
    if let Some(left) = run.seconds_left {
        text += &format!(", at most {} left", seconds(left));
    }
    text += &format!(", {} since the start\n", seconds(elapsed));
    text + &epoch(run)
}

fn metrics(report: &Report) -> String {
    report
        .metrics
        .as_ref()
        .map_or_else(String::new, |path| format!("metrics: {}\n", path.display()))
}

fn epoch(run: &Status) -> String {
    let Some(epoch) = &run.epoch else { return String::new() };
    format!(
        "epoch {}: train loss {:.4}; valid loss {:.4}, top-1 {:.2} %\n",
        epoch.epoch,
        epoch.train.loss,
        epoch.valid.loss,
        100.0 * epoch.valid.top1_accuracy
    )
}

fn last(run: &Status) -> String {
    let Status { started, updated, stage, .. } = run;
    let Some(end) = &run.end else {
        let seen = format!("in stage {stage} (last seen {updated:.0})\n");
        return format!("last run: {started:.0}, killed {seen}") + &epoch(run);
    };
    let mut text = format!("last run: {started:.0} to {updated:.0}, exit {}", end.exit_code);
    if let Some(error) = &end.error {
        text += &format!(" in stage {stage}: {error}");
    }
    text += "\n";
    if let Some(model) = end.model.as_ref().filter(|model| !model.promoted) {
        text += &format!(
            "its model was worse than the one of before (test top-1 {:.2} %) and is kept beside it: {}\n",
            100.0 * model.metrics.test.top1_accuracy,
            model.path.display()
        );
    }
    text
}
