//! From a run that has ended to its report.html.

use std::collections::HashSet;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::time::Instant;

use super::known_thumbnails::KnownThumbnails;
use super::page;
use super::sections::Section;
use crate::artifact::{Metadata, REPORT_FILE};
use crate::atomic_file;
use crate::data::image_folder::{ImageFolder, Sample, Split};
use crate::error::{Error, Result};
use crate::features::SplitFeatures;
use crate::model::head::Head;
use crate::run::timeline::Timeline;
use crate::train::fit::Epoch;

/// All that a report tells of.
#[derive(Debug, Clone, Copy)]
pub struct RunRecord<'a> {
    /// What model.json says.
    pub metadata: &'a Metadata,
    /// All epochs.
    pub history: &'a [Epoch],
    /// What the machine did.
    pub timeline: &'a Timeline,
    /// The data set as it was scanned.
    pub folder: &'a ImageFolder,
    /// The test split: a row for each sample of `folder` that was not skipped, in their order.
    pub test: &'a SplitFeatures,
    /// The head of the kept epoch.
    pub head: &'a Head,
    /// The model that stood when the run began.
    pub standing: Option<&'a Metadata>,
    /// The pictures of the report before.
    pub thumbnails: &'a KnownThumbnails,
}

impl<'a> RunRecord<'a> {
    /// The samples of a split that were used, in order.
    pub(super) fn used_samples(&self, split: Split) -> impl Iterator<Item = &'a Sample> + use<'a> {
        let skipped = &self.metadata.data.skipped;
        let skipped: HashSet<&Path> = skipped.iter().map(|file| file.path.as_path()).collect();
        let samples = self.folder.samples(split).iter();
        samples.filter(move |sample| !skipped.contains(sample.path.as_path()))
    }

    /// The sample of each row of the test split.
    pub(super) fn test_samples(&self) -> Vec<&'a Sample> {
        self.used_samples(Split::Test).collect()
    }
}

/// What of a report takes long, and does not need the model's hash.
#[derive(Debug)]
pub struct Draft(Result<Vec<Section>>);

/// Draws plots and pictures. `run.metadata` may lack `model_sha256` yet.
pub fn draft(run: &RunRecord) -> Draft {
    let started = Instant::now();
    // The model is not safe yet, and no plot is worth it.
    let sections = panic::catch_unwind(AssertUnwindSafe(|| page::sections(run)))
        .unwrap_or_else(|_| Err(Error::Internal("a part of the report cannot be drawn".into())));
    log::debug!("the report took {} ms", started.elapsed().as_millis());
    Draft(sections)
}

/// Writes the report into `dir`. A run is none the worse without one: what goes wrong is a warning.
pub fn write(dir: &Path, run: &RunRecord, draft: Draft) {
    let written = draft.0.and_then(|sections| {
        let page = page::render(run, sections).into_string();
        atomic_file::replace_unsynced(&dir.join(REPORT_FILE), page.as_bytes())
    });
    if let Err(error) = written {
        log::warn!("this run will have no report: {error}");
    }
    run.thumbnails.save();
}
