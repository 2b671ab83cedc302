//! The saved model on the test split as it is now.

use std::path::Path;

use crate::artifact::Metadata;
use crate::config::NUM_FEATURES;
use crate::data::FileNote;
use crate::data::image_folder::{ImageFolder, Split};
use crate::data::ten_crop::TenCrop;
use crate::error::{Error, Result};
use crate::evaluate::evaluate;
use crate::features::FeatureMatrix;
use crate::features::extract::Outcome;
use crate::job::Job;
use crate::metrics::Metrics;
use crate::predictor::Predictor;
use crate::run::console::Progress;

/// The saved model's measures on the test split.
#[derive(Debug)]
pub struct Evaluation {
    /// What model.json says.
    pub metadata: Metadata,
    /// On the images of the test split as they are now.
    pub test: Metrics,
    /// The same, of logits that are the means over the views of [`TenCrop`], where asked for.
    pub test_by_views: Option<Metrics>,
    /// Files of the test split that could not be used.
    pub skipped: Vec<FileNote>,
}

/// Evaluates the saved model of `job` on its test split, and with the views of each image too if asked
/// to, which takes ten times as long.
///
/// # Errors
/// As [`train`](super::train); [`Error::BadData`] when the classes on disk are not those of the model.
pub fn evaluate_saved(job: &Job, by_views: bool) -> Result<Evaluation> {
    let predictor = Predictor::load(job)?;
    let folder = ImageFolder::scan_splits(&job.data_dir, &job.split_dirs)?;
    if folder.classes.class_names() != predictor.metadata.class_names {
        return Err(Error::bad_data(
            &job.data_dir,
            format!(
                "its {} classes are not the {} classes the model was trained on",
                folder.classes.len(),
                predictor.metadata.class_names.len()
            ),
            "Run `ec2train` to train on this data set, or put the other one back.",
        ));
    }
    let samples = folder.samples(Split::Test);
    let paths: Vec<&Path> = samples.iter().map(|sample| sample.path.as_path()).collect();
    let mut progress = Progress::new("test", "images", paths.len() as u64);
    let ten_crop = TenCrop { eval: predictor.eval_transform() };
    let num_views = if by_views { TenCrop::NUM_VIEWS } else { 1 };
    let on_progress = |done| progress.inc(done as u64);
    let outcomes = predictor.extract(&paths, &ten_crop, num_views, on_progress)?;
    progress.finish();

    let mut features = FeatureMatrix::new(NUM_FEATURES);
    let mut means = FeatureMatrix::new(NUM_FEATURES);
    let mut skipped = Vec::new();
    for (sample, outcome) in samples.iter().zip(outcomes) {
        match outcome {
            Outcome::Used(used) => {
                // The head is linear: its logits of the mean features are the mean logits.
                means.push(&mean(&used.views), sample.target);
                let (_, centre) = &used.views[0];
                features.push(centre, sample.target);
            }
            Outcome::Skipped(reason) => {
                skipped.push(FileNote { path: sample.path.clone(), reason });
            }
        }
    }
    if features.targets.is_empty() {
        let remedy = "`ec2train check` lists what is wrong with each file.";
        return Err(Error::bad_data(
            folder.split_dir(Split::Test),
            "holds no usable image",
            remedy,
        ));
    }
    let test = evaluate(&predictor.head, &features.into())?;
    let test_by_views = by_views.then(|| evaluate(&predictor.head, &means.into())).transpose()?;
    Ok(Evaluation { metadata: predictor.metadata, test, test_by_views, skipped })
}

/// Of the features `[F]` of all views.
fn mean(views: &[(u32, Vec<f32>)]) -> Vec<f32> {
    let mut mean = vec![0.0; NUM_FEATURES];
    for (_, row) in views {
        mean.iter_mut().zip(row).for_each(|(mean, value)| *mean += value / views.len() as f32);
    }
    mean
}
