//! The saved model, ready to classify images.

use std::path::Path;

use crate::artifact::{self, Metadata, TrainedModel};
use crate::config::CROP;
use crate::data::transform::EvalTransform;
use crate::error::{Error, Result};
use crate::features::extract::{Outcome, extract};
use crate::job::Job;
use crate::model::backbone::Backbone;
use crate::model::head::{Head, to_vec};

/// Computes with the same transform and backbone as the training did.
#[derive(Debug)]
pub struct Predictor {
    /// What model.json says.
    pub metadata: Metadata,
    transform: EvalTransform,
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
            transform: EvalTransform {
                resize: metadata.transform.resize,
                crop: metadata.transform.crop,
                mean: metadata.transform.mean,
                std: metadata.transform.std,
            },
            backbone: Backbone::new(&state_dict)?,
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
        self.extract(paths, |_| ())?
            .into_iter()
            .map(|outcome| match outcome {
                Outcome::Used { features, .. } => {
                    let row = tch::Tensor::f_from_slice(&features)?.f_unsqueeze(0)?; // [1, F]
                    Ok(Ok(to_vec(&self.head.forward(&row)?)?))
                }
                Outcome::Skipped(reason) => Ok(Err(reason)),
            })
            .collect()
    }

    /// Features `[2048]` of each image, in the order of the paths; see [`extract`].
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn extract(&self, paths: &[&Path], on_progress: impl FnMut(usize)) -> Result<Vec<Outcome>> {
        extract(paths, &self.transform, &self.backbone, self.num_workers, on_progress)
    }
}
