//! Writes the features of the sample's images to a file for Python, those of the mirrored test
//! images too.
//!
//! `cargo run --release --example recipe_features OUT.safetensors`, after `ec2train train --sample`

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use ec2train::config::NUM_FEATURES;
use ec2train::data::image_folder::{ImageFolder, Split};
use ec2train::features::extract::Outcome;
use ec2train::job::Job;
use ec2train::model::state_dict::TensorData;
use ec2train::predictor::Predictor;

fn main() -> Result<()> {
    let out = std::env::args().nth(1).context("name the file to write")?;
    let job = Job::sample();
    let predictor = Predictor::load(&job)?;
    let folder = ImageFolder::scan(&job.data_dir)?;
    let mut tensors = Vec::new();
    let mut add = |name: &str, paths: &[PathBuf]| -> Result<()> {
        let paths: Vec<&Path> = paths.iter().map(PathBuf::as_path).collect();
        let mut values = Vec::new();
        for (path, outcome) in paths.iter().zip(predictor.extract(&paths, |_| ())?) {
            match outcome {
                Outcome::Used(used) => {
                    values.extend(used.views.into_iter().flat_map(|view| view.1))
                }
                Outcome::Skipped(reason) => anyhow::bail!("{}: {reason}", path.display()),
            }
        }
        tensors
            .push((name.to_owned(), TensorData::from_f32(&[paths.len(), NUM_FEATURES], &values)));
        Ok(())
    };
    let mirrored_dir = tempfile::tempdir()?;
    let mut targets = Vec::new();
    for split in Split::ALL {
        let samples = folder.samples(split);
        let paths: Vec<PathBuf> = samples.iter().map(|sample| sample.path.clone()).collect();
        let mut mirrored = Vec::new();
        for (index, path) in paths.iter().enumerate().filter(|_| split == Split::Test) {
            let copy = mirrored_dir.path().join(format!("{index}.png"));
            image::imageops::flip_horizontal(&image::open(path)?.to_rgb8()).save(&copy)?;
            mirrored.push(copy);
        }
        let name = split.name();
        add(name, &paths)?;
        if split == Split::Test {
            add("test_mirrored", &mirrored)?;
        }
        let ids: Vec<f32> = samples.iter().map(|sample| sample.target as f32).collect();
        targets.push((format!("{name}_targets"), TensorData::from_f32(&[ids.len()], &ids)));
    }
    let views: Vec<(String, safetensors::tensor::TensorView)> = tensors
        .iter()
        .chain(&targets)
        .map(|(name, tensor)| {
            let view = safetensors::tensor::TensorView::new(
                safetensors::Dtype::F32,
                tensor.shape.clone(),
                &tensor.bytes,
            )?;
            Ok((name.clone(), view))
        })
        .collect::<Result<_>>()?;
    safetensors::serialize_to_file(views, None, Path::new(&out))?;
    Ok(())
}
