//! Writes the features of the sample's images, of ten views each, to a file for Python.
//!
//! `cargo run --release --example recipe_features OUT.safetensors`, after `ec2train train --sample`

use std::path::Path;

use anyhow::{Context, Result, bail};
use ec2train::config::NUM_FEATURES;
use ec2train::data::image_folder::{ImageFolder, Split};
use ec2train::data::ten_crop::TenCrop;
use ec2train::features::extract::Outcome;
use ec2train::job::Job;
use ec2train::model::state_dict::TensorData;
use ec2train::predictor::Predictor;
use safetensors::Dtype;
use safetensors::tensor::TensorView;

fn main() -> Result<()> {
    let out = std::env::args().nth(1).context("name the file to write")?;
    let job = Job::sample();
    let predictor = Predictor::load(&job)?;
    let folder = ImageFolder::scan(&job.data_dir)?;
    let ten_crop = TenCrop { eval: predictor.eval_transform() };
    let num_views = TenCrop::NUM_VIEWS;
    let mut tensors = Vec::new();
    for split in Split::ALL {
        let samples = folder.samples(split);
        let paths: Vec<&Path> = samples.iter().map(|sample| sample.path.as_path()).collect();
        let mut values = Vec::new();
        for (path, outcome) in
            paths.iter().zip(predictor.extract(&paths, &ten_crop, num_views, |_| ())?)
        {
            match outcome {
                Outcome::Used(used) => {
                    values.extend(used.views.into_iter().flat_map(|view| view.1));
                }
                Outcome::Skipped(reason) => bail!("{}: {reason}", path.display()),
            }
        }
        let shape = [paths.len(), num_views as usize, NUM_FEATURES];
        tensors.push((split.name().to_owned(), TensorData::from_f32(&shape, &values)));
        let targets: Vec<f32> = samples.iter().map(|sample| sample.target as f32).collect();
        let targets = TensorData::from_f32(&[targets.len()], &targets);
        tensors.push((format!("{}_targets", split.name()), targets));
    }
    let views = tensors.iter().map(|(name, tensor)| {
        let view = TensorView::new(Dtype::F32, tensor.shape.clone(), &tensor.bytes)?;
        Ok((name.clone(), view))
    });
    safetensors::serialize_to_file(views.collect::<Result<Vec<_>>>()?, None, Path::new(&out))?;
    Ok(())
}
