//! From a run that has ended to its report.html.

use std::collections::HashSet;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::time::Instant;

use super::page;
use crate::artifact::{Metadata, REPORT_FILE};
use crate::atomic_file;
use crate::data::image_folder::{ImageFolder, Sample, Split};
use crate::error::{Error, Result};
use crate::features::FeatureMatrix;
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
    pub test: &'a FeatureMatrix,
    /// The head of the kept epoch.
    pub head: &'a Head,
    /// The model that stood when the run began.
    pub standing: Option<&'a Metadata>,
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

/// Writes the report into `dir`. A run is none the worse without one: what goes wrong is a warning.
pub fn write(dir: &Path, run: &RunRecord) {
    let started = Instant::now();
    match try_write(&dir.join(REPORT_FILE), run) {
        Ok(()) => log::debug!("the report took {} ms", started.elapsed().as_millis()),
        Err(error) => log::warn!("this run will have no report: {error}"),
    }
}

fn try_write(path: &Path, run: &RunRecord) -> Result<()> {
    // The model is not safe yet, and no plot is worth it.
    let page = panic::catch_unwind(AssertUnwindSafe(|| page::render(run)))
        .unwrap_or_else(|_| Err(Error::Internal(format!("cannot make {}", path.display()))))?;
    atomic_file::replace_unsynced(path, page.into_string().as_bytes())
}
