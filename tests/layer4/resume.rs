//! A training that is ended and goes on.

use ec2train::Error;
use ec2train::features::ActivationSplit;
use ec2train::features::store::{ActivationStore, Recipe};
use ec2train::kernels::arithmetic::bf16_bits;
use ec2train::metrics::Metrics;
use ec2train::model::head::Head;
use ec2train::model::layer4::Layer4;
use ec2train::model::resnet::LAYER4_INPUT_LEN;
use ec2train::model::state_dict::StateDict;
use ec2train::run::signals::StopReason;
use ec2train::train::checkpoint::Checkpoint;
use ec2train::train::fine_tune::{FineTuned, fine_tune};
use ec2train::train::fit::{Epoch, Fitted, Hyperparameters, Layer4Hyperparameters};

use crate::formula::{state_dict, uniform};

const NUM_CLASSES: usize = 2;

/// A head of zeros, whose loss any epoch lowers.
fn fitted() -> Fitted {
    let metrics = Metrics { loss: 9.0, top1_accuracy: 0.0, top5_accuracy: 1.0, num_samples: 2 };
    let epoch = Epoch { epoch: 1, learning_rate: 1e-3, train: metrics, valid: metrics };
    let head = Head { weight: vec![0.0; NUM_CLASSES * 2048], bias: vec![0.0; NUM_CLASSES] };
    Fitted { head, valid_loss: epoch.valid.loss, best_epoch: 1, history: vec![epoch] }
}

#[test]
fn a_training_that_was_ended_goes_on_to_the_same_bits() {
    let dir = tempfile::tempdir().unwrap();
    let recipe = Recipe {
        transform: serde_json::json!({}),
        weights_sha256: "06".repeat(32),
        engine: "fp32".into(),
    };
    let store = ActivationStore::open(dir.path(), &recipe).unwrap();
    let rows: Vec<(blake3::Hash, u32)> = (0..4u32).map(|n| (blake3::hash(&[n as u8]), 0)).collect();
    for ((content, view), stream) in rows.iter().zip(3000..) {
        let values = uniform(stream, LAYER4_INPUT_LEN);
        let row: Vec<u16> = values.map(|u| bf16_bits((2.0 * u - 1.0).max(0.0) as f32)).collect();
        store.append(content, *view, &row).unwrap();
    }
    let split = ActivationSplit { store: &store, rows: &rows, targets: &[0, 1, 0, 1] };
    let hyperparameters = Hyperparameters {
        layer4: Layer4Hyperparameters {
            batch_size: 2,
            max_epochs: 2,
            patience: 3,
            ..Layer4Hyperparameters::default()
        },
        ..Hyperparameters::default()
    };
    let weights = state_dict();
    let train = |checkpoint: &str, end_in: usize| {
        let network = Layer4::new(&weights, &fitted().head).unwrap();
        let mut checkpoint = Checkpoint::after_every_epoch(&dir.path().join(checkpoint));
        let mut seen = Vec::new();
        let on_epoch = |epoch: &Epoch| {
            seen.push(epoch.epoch);
            if epoch.epoch == end_in { Err(Error::Stopped(StopReason::Spot)) } else { Ok(()) }
        };
        let splits = [split, split];
        let result =
            fine_tune(&network, &fitted(), splits, &hyperparameters, 2, &mut checkpoint, on_epoch);
        (result, seen)
    };
    let (whole, seen) = train("whole", usize::MAX);
    assert_eq!(seen, [2, 3], "they are counted on from the head's");
    let whole = whole.unwrap();
    assert!(matches!(train("ended", 3), (Err(Error::Stopped(_)), seen) if seen == [2, 3]));
    let (resumed, seen) = train("ended", usize::MAX);
    assert_eq!(seen, [3]);
    assert_same(&resumed.unwrap(), &whole);
    let (again, seen) = train("ended", usize::MAX);
    assert_eq!(seen, [0; 0], "what is trained is not trained again");
    assert_same(&again.unwrap(), &whole);
}

fn assert_same(found: &FineTuned, expected: &FineTuned) {
    assert_eq!(found.history, expected.history);
    assert_eq!(found.best_epoch, expected.best_epoch);
    let values =
        |tensors: &StateDict| tensors.iter().map(|(_, t)| t.bytes.clone()).collect::<Vec<_>>();
    assert_eq!(found.tensors.len(), 32);
    assert!(values(&found.tensors) == values(&expected.tensors), "other bits");
}
