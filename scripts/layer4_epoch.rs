//! Times epochs of layer4's training on made-up activations, read from disk.
//!
//! `layer4_epoch IMAGES EPOCHS [THREADS]`, on 2 threads if not told; prints images a second of each
//! epoch. See compare_layer4.sh.

use std::time::Instant;

use anyhow::{Context, Result};
use ec2train::features::ActivationSplit;
use ec2train::features::store::{ActivationStore, Recipe};
use ec2train::kernels::arithmetic::bf16_bits;
use ec2train::metrics::Metrics;
use ec2train::model::head::Head;
use ec2train::model::layer4::Layer4;
use ec2train::model::resnet::{LAYER4_INPUT_LEN, tensor_specs};
use ec2train::model::state_dict::{Dtype, StateDict, TensorData};
use ec2train::train::checkpoint::Checkpoint;
use ec2train::train::fine_tune::fine_tune;
use ec2train::train::fit::{Epoch, Fitted, Hyperparameters};

const NUM_CLASSES: usize = 133;

/// Small numbers that no product of them makes large.
fn noise(seed: usize) -> impl Iterator<Item = f32> {
    (seed..).map(|n| ((n.wrapping_mul(2_654_435_761) >> 8 & 0xffff) as f32 / 65536.0 - 0.5) * 0.05)
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut number =
        || -> Result<usize> { Ok(arguments.next().context("IMAGES EPOCHS")?.parse()?) };
    let (num_images, num_epochs) = (number()?, number()?);
    let num_threads = number().unwrap_or(2);
    let dir = tempfile::tempdir()?;
    let recipe = Recipe {
        transform: serde_json::json!({}),
        weights_sha256: "00".repeat(32),
        engine: "made up".into(),
    };
    let store = ActivationStore::open(dir.path(), &recipe)?;
    let rows: Vec<(blake3::Hash, u32)> =
        (0..num_images).map(|n| (blake3::hash(&n.to_le_bytes()), 0)).collect();
    for (n, (content, view)) in rows.iter().enumerate() {
        let row: Vec<u16> =
            noise(n).take(LAYER4_INPUT_LEN).map(|value| bf16_bits(value.max(0.0))).collect();
        store.append(content, *view, &row)?;
    }
    let targets: Vec<usize> = (0..num_images).map(|n| n % NUM_CLASSES).collect();
    let weights: StateDict = tensor_specs(NUM_CLASSES)
        .into_iter()
        .map(|spec| {
            let len = spec.shape.iter().product();
            let tensor = match spec.dtype {
                Dtype::I64 => TensorData::scalar_i64(0),
                _ if spec.name.ends_with("running_var") => {
                    TensorData::from_f32(&spec.shape, &vec![1.0; len])
                }
                _ => TensorData::from_f32(&spec.shape, &noise(7).take(len).collect::<Vec<_>>()),
            };
            (spec.name, tensor)
        })
        .collect();

    let none = Metrics { loss: f64::MAX, top1_accuracy: 0.0, top5_accuracy: 0.0, num_samples: 1 };
    let history = vec![Epoch { epoch: 1, learning_rate: 0.0, train: none, valid: none }];
    let head = Head::from_state_dict(&weights)?;
    let fitted = Fitted { head, valid_loss: f64::INFINITY, best_epoch: 1, history };
    let mut hyperparameters = Hyperparameters::default();
    hyperparameters.layer4.max_epochs = num_epochs;
    hyperparameters.layer4.patience = num_epochs;
    let train = ActivationSplit { store: &store, rows: &rows, targets: &targets };
    // One image: the time is that of training.
    let valid = ActivationSplit { store: &store, rows: &rows[..1], targets: &targets[..1] };
    let mut started = Instant::now();
    let on_epoch = |epoch: &Epoch| {
        let rate = num_images as f64 / started.elapsed().as_secs_f64();
        println!("ec2train {rate:.2} images/s (loss {:.4})", epoch.train.loss);
        started = Instant::now();
        Ok(())
    };
    fine_tune(
        &Layer4::new(&weights, &fitted.head)?,
        &fitted,
        [train, valid],
        &hyperparameters,
        num_threads,
        // In a folder that is not there: what is written is made and timed, but not the disk.
        &mut Checkpoint::at(&dir.path().join("missing/checkpoint")),
        on_epoch,
    )?;
    Ok(())
}
