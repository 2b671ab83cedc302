//! Fits the head on features from a file, with the search of a training, and prints what it found.
//!
//! `cargo run --release --example recipe_fit FEATURES.safetensors [NUM_THREADS]`

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};
use ec2train::evaluate::evaluate;
use ec2train::features::FeatureMatrix;
use ec2train::model::state_dict::StateDict;
use ec2train::train::fit::Hyperparameters;
use ec2train::train::search::{self, Search};
use ec2train::train::temperature;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().context("name the file of features")?;
    let num_threads = arguments.next().map_or(Ok(2), |text| text.parse())?;
    let tensors = StateDict::load(Path::new(&path))?;
    let matrix = |name: &str| -> Result<FeatureMatrix> {
        let values = tensors.get(name).with_context(|| format!("{path} lacks {name}"))?;
        let targets = tensors.get(&format!("{name}_targets")).context("no targets")?;
        Ok(FeatureMatrix {
            num_features: values.shape[1],
            values: values.to_f32(),
            targets: targets.to_f32().into_iter().map(|target| target as usize).collect(),
        })
    };
    let (train, valid, test) = (matrix("train")?, matrix("valid")?, matrix("test")?);
    let num_classes = train.targets.iter().max().map_or(0, |last| last + 1);
    let started = Instant::now();
    let found = search::fit_best(
        &train,
        &valid,
        num_classes,
        &Hyperparameters::default(),
        &Search::default(),
        num_threads,
        None,
        |_| Ok(()),
    )?;
    let seconds = started.elapsed().as_secs_f64();
    let temperature = temperature::fit(&found.fitted.head, &valid)?;
    let report = serde_json::json!({
        "seconds": seconds,
        "candidates": found.candidates,
        "learning_rate": found.hyperparameters.learning_rate,
        "l2_penalty": found.hyperparameters.l2_penalty,
        "best_epoch": found.fitted.best_epoch,
        "valid": evaluate(&found.fitted.head, &valid),
        "test": evaluate(&found.fitted.head, &test),
        "temperature": temperature,
        "test_at_temperature": evaluate(&temperature::cooled(&found.fitted.head, temperature), &test),
    });
    println!("{}", serde_json::to_string_pretty(&report)?);
    Ok(())
}
