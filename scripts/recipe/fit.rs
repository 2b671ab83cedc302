//! Fits the head on features from a file, as a training does, and prints what it found as JSON.
//!
//! `cargo run --release --example recipe_fit FEATURES.safetensors [NUM_THREADS]`

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};
use ec2train::config::L2_PENALTIES;
use ec2train::evaluate::evaluate;
use ec2train::features::{FeatureMatrix, SplitFeatures};
use ec2train::model::state_dict::StateDict;
use ec2train::train::fit::{Hyperparameters, fit};
use ec2train::train::search::choose_penalty;
use ec2train::train::temperature;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().context("name the file of features")?;
    let num_threads = arguments.next().map_or(Ok(2), |text| text.parse())?;
    let tensors = StateDict::load(Path::new(&path))?;
    let split = |name: &str| -> Result<SplitFeatures> {
        let values = tensors.get(name).with_context(|| format!("{path} lacks {name}"))?;
        let targets = tensors.get(&format!("{name}_targets")).context("no targets")?;
        let targets = targets.to_f32().into_iter().map(|target| target as usize).collect();
        let (num_features, values) = (values.shape[1], values.to_f32());
        Ok(FeatureMatrix { num_features, values, targets }.into())
    };
    let (train, valid, test) = (split("train")?, split("valid")?, split("test")?);
    let num_classes = train.targets().iter().max().map_or(0, |last| last + 1);
    let hyperparameters = Hyperparameters::default();
    let started = Instant::now();
    let mut fitted = fit(&train, &valid, num_classes, &hyperparameters, num_threads, |_| Ok(()))?;
    let epochs_seconds = started.elapsed().as_secs_f64();
    let of_epochs = (evaluate(&fitted.head, &valid)?, evaluate(&fitted.head, &test)?);
    let started = Instant::now();
    let (own, penalties) = (valid.clone(), &L2_PENALTIES);
    let (search, _) =
        choose_penalty(&mut fitted, train, own, &hyperparameters, penalties, num_threads)?;
    let search_seconds = started.elapsed().as_secs_f64();
    let found = serde_json::json!({
        "epochs_seconds": epochs_seconds,
        "best_epoch": fitted.best_epoch,
        "num_epochs": fitted.history.len(),
        "valid_of_epochs": of_epochs.0,
        "test_of_epochs": of_epochs.1,
        "search_seconds": search_seconds,
        "search": search,
        "valid": evaluate(&fitted.head, &valid)?,
        "test": evaluate(&fitted.head, &test)?,
        "temperature": temperature::fit(&fitted.head, &valid)?,
    });
    println!("{}", serde_json::to_string_pretty(&found)?);
    Ok(())
}
