//! `ec2train check`

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use super::{print, print_json};
use crate::data::image_folder::Split;
use crate::data::inspect::{Finding, Inspection, Severity, inspect};
use crate::error::{Error, Result};
use crate::job::Job;
use crate::run::console::Progress;

/// Findings of a kind in the table; `--json` has all.
const MAX_FINDINGS: usize = 10;
/// Files of a group of duplicates in the table.
const MAX_PATHS: usize = 4;

pub fn run(job: &Job, json: bool) -> Result<()> {
    let progress: Mutex<Option<Progress>> = Mutex::default();
    let on_image = |num_images| {
        let mut progress = progress.lock().unwrap_or_else(PoisonError::into_inner);
        progress.get_or_insert_with(|| Progress::new("check", "images", num_images as u64)).inc(1);
    };
    let inspection = inspect(&job.data_dir, on_image)?;
    if let Some(progress) = progress.into_inner().unwrap_or_else(PoisonError::into_inner) {
        progress.finish();
    }
    if json {
        print_json(&inspection)?;
    } else {
        print(&table(&inspection))?;
    }
    if inspection.num_errors == 0 {
        return Ok(());
    }
    Err(Error::bad_data(
        &job.data_dir,
        format!("{} findings that would hurt a training, listed above", inspection.num_errors),
        "Each kind of finding says what to do.",
    ))
}

fn table(inspection: &Inspection) -> String {
    let mut text = format!(
        "{}: {} classes, {} images, {} usable\n\n",
        inspection.dir.display(),
        inspection.classes.len(),
        inspection.num_images,
        inspection.num_usable
    );
    text += "split   images  smallest class  largest class\n";
    for split in Split::ALL {
        let sizes = inspection.classes.iter().map(|class| class.num_images[split as usize]);
        text += &format!(
            "{:<6} {:>7} {:>15} {:>14}\n",
            split.name(),
            sizes.clone().sum::<usize>(),
            sizes.clone().min().unwrap_or(0),
            sizes.max().unwrap_or(0)
        );
    }
    for (severity, num_findings, title) in [
        (Severity::Error, inspection.num_errors, "errors, which would hurt a training"),
        (Severity::Note, inspection.num_notes, "notes, which are harmless"),
    ] {
        if num_findings == 0 {
            continue;
        }
        text += &format!("\n{title}: {num_findings}\n");
        for (kind, findings) in inspection.by_kind().filter(|(kind, _)| kind.severity() == severity)
        {
            text += &format!("\n{} ({}): {}\n", kind.name(), findings.len(), kind.remedy());
            text.extend(findings.iter().take(MAX_FINDINGS).map(line));
            if findings.len() > MAX_FINDINGS {
                text += &format!(
                    "  and {} more: `ec2train check --json` has all\n",
                    findings.len() - MAX_FINDINGS
                );
            }
        }
    }
    if inspection.findings.is_empty() {
        text += "\nnothing found\n";
    }
    text
}

/// One finding, indented.
fn line(finding: &Finding) -> String {
    if let [path] = &finding.paths[..] {
        return format!("  {}: {}\n", path.display(), finding.reason);
    }
    let mut text = format!("  {}:\n", finding.reason);
    // Of each folder one before any second one, so that both classes or splits are to be seen.
    let mut folders = HashSet::new();
    let (firsts, others): (Vec<&PathBuf>, Vec<_>) =
        finding.paths.iter().partition(|path| folders.insert(path.parent()));
    for path in firsts.into_iter().chain(others).take(MAX_PATHS) {
        text += &format!("    {}\n", path.display());
    }
    if finding.paths.len() > MAX_PATHS {
        text += &format!("    and {} more\n", finding.paths.len() - MAX_PATHS);
    }
    text
}
