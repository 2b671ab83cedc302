//! The saved model, ready to classify images.

use std::path::Path;

use crate::artifact::{self, Metadata, TrainedModel};
use crate::config::{CHUNK, CROP};
use crate::data::transform::EvalTransform;
use crate::data::view::ViewTransform;
use crate::error::{Error, Result};
use crate::features::extract::{Outcome, Request, extract};
use crate::job::Job;
use crate::model::backbone::{Backbone, Engine};
use crate::model::head::Head;
use crate::train::temperature;

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
        let TrainedModel { metadata, state_dict } = artifact::load(&job.model_dir)?;
        if metadata.transform.crop != CROP {
            let reason = format!("asks for {} pixels, not {CROP}", metadata.transform.crop);
            let remedy = "It was written by another version: run `ec2train` again.";
            return Err(Error::bad_data(
                job.model_dir.join(artifact::METADATA_FILE),
                reason,
                remedy,
            ));
        }
        Ok(Predictor {
            transform: ViewTransform::new(EvalTransform {
                resize: metadata.transform.resize,
                crop: metadata.transform.crop,
                mean: metadata.transform.mean,
                std: metadata.transform.std,
            }),
            backbone: Backbone::new(Engine::fastest(), &state_dict, CHUNK)?,
            head: Head::from_state_dict(&state_dict)?,
            num_workers: job.num_workers,
            metadata,
        })
    }

    /// Logits `[C]` of each image, or why it cannot be used, in the order of the paths.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn logits(&self, paths: &[&Path]) -> Result<Vec<Result<Vec<f32>, String>>> {
        let head = self.head.pack();
        let outcomes = self.extract(paths, |_| ())?;
        let logits = outcomes.into_iter().map(|outcome| match outcome {
            Outcome::Used(used) => {
                Ok(used.views.iter().flat_map(|(_, features)| head.logits(features)).collect())
            }
            Outcome::Skipped(reason) => Err(reason),
        });
        Ok(logits.collect())
    }

    /// Probabilities `[C]` of logits `[C]`, at the temperature of model.json.
    pub fn probabilities(&self, logits: &[f32]) -> Vec<f64> {
        temperature::probabilities(logits, self.metadata.temperature.unwrap_or(1.0))
    }

    /// Features of each image's first view, in the order of the paths; see [`extract`].
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn extract(
        &self,
        paths: &[&Path],
        mut on_progress: impl FnMut(usize),
    ) -> Result<Vec<Outcome>> {
        let requests: Vec<Request> =
            paths.iter().map(|path| Request { path, num_views: 1 }).collect();
        let mut outcomes: Vec<Option<Outcome>> = paths.iter().map(|_| None).collect();
        let on_outcome = |index: usize, outcome| {
            outcomes[index] = Some(outcome);
            on_progress(1);
            Ok(())
        };
        let (transform, backbone) = (&self.transform, &self.backbone);
        extract(&requests, |_, _| false, transform, backbone, self.num_workers, on_outcome)?;
        Ok(outcomes.into_iter().flatten().collect())
    }
}
