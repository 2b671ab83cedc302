//! The saved model, ready to classify images.

use std::collections::BTreeMap;
use std::path::Path;

use crate::artifact::{self, Metadata, TrainedModel};
use crate::config::{CHUNK, CROP};
use crate::data::transform::EvalTransform;
use crate::data::view::{ViewTransform, Views};
use crate::error::{Error, Result};
use crate::features::extract::{Outcome, Request, extract};
use crate::job::Job;
use crate::model::backbone::{Backbone, Engine};
use crate::model::head::Head;
use crate::train::temperature;

/// Reads the saved model from `model_dir`, if this version can compute it.
///
/// # Errors
/// As [`artifact::load`]; [`Error::BadData`] when its images have another size.
pub fn open(model_dir: &Path) -> Result<TrainedModel> {
    let model = artifact::load(model_dir)?;
    let crop = model.metadata.transform.crop;
    if crop != CROP {
        return Err(Error::bad_data(
            model_dir.join(artifact::METADATA_FILE),
            format!("asks for {crop} pixels, not {CROP}"),
            "It was written by another version: run `ec2train` again.",
        ));
    }
    Ok(model)
}

/// Computes with the same transform and backbone as the training did.
#[derive(Debug)]
pub struct Predictor {
    /// What model.json says.
    pub metadata: Metadata,
    transform: ViewTransform,
    backbone: Backbone,
    /// The linear layer on the features.
    pub head: Head,
    num_workers: usize,
}

impl Predictor {
    /// Loads the saved model of `job`.
    ///
    /// # Errors
    /// As [`artifact::load`].
    pub fn load(job: &Job) -> Result<Self> {
        let TrainedModel { metadata, state_dict } = open(&job.model_dir)?;
        Ok(Predictor {
            transform: ViewTransform::new(EvalTransform::from(&metadata.transform)),
            backbone: Backbone::new(Engine::fastest(), &state_dict, CHUNK)?,
            head: Head::from_state_dict(&state_dict)?,
            num_workers: job.num_workers,
            metadata,
        })
    }

    /// Calls `on_logits` with the logits `[C]` of each image, or why it cannot be used, in the order
    /// of the paths, while later images are computed.
    ///
    /// # Errors
    /// The first error of `on_logits`, after which no further image is begun; libtorch's.
    pub fn predict(
        &self,
        paths: &[&Path],
        mut on_logits: impl FnMut(&Path, Result<Vec<f32>, String>) -> Result<()>,
    ) -> Result<()> {
        let head = self.head.pack();
        // Chunks end in any order; those that came too early wait.
        let mut waiting: BTreeMap<usize, Result<Vec<f32>, String>> = BTreeMap::new();
        let mut num_done = 0;
        self.extract_each(paths, &self.transform, 1, |index, outcome| {
            let logits = match outcome {
                Outcome::Used(used) => {
                    Ok(used.views.iter().flat_map(|(_, features)| head.logits(features)).collect())
                }
                Outcome::Skipped(reason) => Err(reason),
            };
            waiting.insert(index, logits);
            while let Some(logits) = waiting.remove(&num_done) {
                on_logits(paths[num_done], logits)?;
                num_done += 1;
            }
            Ok(())
        })
    }

    /// Probabilities `[C]` of the classes, from an image's logits `[C]`, at the temperature of
    /// model.json.
    pub fn probabilities(&self, logits: &[f32]) -> Vec<f64> {
        temperature::probabilities(logits, self.metadata.temperature.unwrap_or(1.0))
    }

    /// The transform of an image's only view.
    pub fn eval_transform(&self) -> EvalTransform {
        self.transform.eval
    }

    /// Features of the first `num_views` of each image's `views`, in the order of the paths; see
    /// [`extract`].
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn extract(
        &self,
        paths: &[&Path],
        views: &dyn Views,
        num_views: u32,
        mut on_progress: impl FnMut(usize),
    ) -> Result<Vec<Outcome>> {
        let mut outcomes: Vec<Option<Outcome>> = paths.iter().map(|_| None).collect();
        self.extract_each(paths, views, num_views, |index, outcome| {
            outcomes[index] = Some(outcome);
            on_progress(1);
            Ok(())
        })?;
        Ok(outcomes.into_iter().flatten().collect())
    }

    fn extract_each(
        &self,
        paths: &[&Path],
        views: &dyn Views,
        num_views: u32,
        on_outcome: impl FnMut(usize, Outcome) -> Result<()>,
    ) -> Result<()> {
        let requests: Vec<Request> = paths.iter().map(|path| Request { path, num_views }).collect();
        extract(&requests, |_, _| false, views, &self.backbone, self.num_workers, on_outcome)
    }
}
