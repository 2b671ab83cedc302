//! Gradients and losses against those that PyTorch computed; see golden/layer4/generate.py.

use std::path::Path;

use ec2train::model::head::Head;
use ec2train::model::layer4::{Layer4, input, to_vec};
use ec2train::model::state_dict::StateDict;
use ec2train::train::fine_tune::{cross_entropy, optimizer};
use ec2train::train::fit::{Hyperparameters, Layer4Hyperparameters};
use tch::Tensor;

use crate::formula::{state_dict, uniform};

/// Elements of each gradient that are compared.
const NUM_SAMPLES: usize = 64;

fn network() -> Layer4 {
    let state_dict = state_dict();
    Layer4::new(&state_dict, &Head::from_state_dict(&state_dict).unwrap()).unwrap()
}

/// As `activations` in generate.py.
fn activations(stream: u64, num_images: usize) -> Tensor {
    let values = uniform(stream, num_images * 14 * 14 * 1024);
    let bits: Vec<u16> = values
        .map(|u| ec2train::kernels::arithmetic::bf16_bits((2.0 * u - 1.0).max(0.0) as f32))
        .collect();
    input(&bits).unwrap()
}

fn expected() -> StateDict {
    let path = "tests/golden/layer4/expected.safetensors";
    StateDict::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

#[test]
fn gradients_are_those_of_pytorch() {
    let (network, expected) = (network(), expected());
    let logits = network.logits(&activations(2000, 2)).unwrap();
    let loss = cross_entropy(&logits, &[3, 141]).unwrap();
    let (names, values): (Vec<String>, Vec<Tensor>) = network.parameters().into_iter().unzip();
    assert_eq!(names.len(), 32);
    let gradients = Tensor::run_backward(&[loss], &values, false, false);
    for (name, gradient) in names.iter().zip(&gradients) {
        let golden = |what: &str| expected.get(&format!("{name}.{what}")).unwrap().to_f32();
        let gradient = to_vec(gradient).unwrap();
        let norm: f64 = gradient.iter().map(|&g| f64::from(g).powi(2)).sum::<f64>().sqrt();
        let golden_norm = f64::from(golden("norm")[0]);
        assert!((norm / golden_norm - 1.0).abs() < 1e-4, "{name}: {norm}, not {golden_norm}");

        let stride = (gradient.len() / NUM_SAMPLES).max(1);
        let samples = gradient.iter().step_by(stride).take(NUM_SAMPLES);
        let golden = golden("samples");
        let distance = |a: f32, b: f32| f64::from(a - b).powi(2);
        let error: f64 = samples.zip(&golden).map(|(&a, &b)| distance(a, b)).sum::<f64>().sqrt();
        let size: f64 = golden.iter().map(|&b| f64::from(b).powi(2)).sum::<f64>().sqrt();
        assert!(error < 1e-4 * size, "{name}: off by {error} of {size}");
    }
}

#[test]
fn ten_steps_have_the_losses_of_pytorch() {
    let network = network();
    let hyperparameters = Hyperparameters {
        layer4: Layer4Hyperparameters {
            learning_rate: 1e-3,
            head_learning_rate: 1e-2,
            momentum: 0.9,
            weight_decay: 1e-4,
            ..Layer4Hyperparameters::default()
        },
        ..Hyperparameters::default()
    };
    let (_, mut sgd) = optimizer(&network, &hyperparameters).unwrap();
    let batches =
        [0, 1].map(|i| (activations(2001 + i as u64, 4), [7 + i, 77 + i, 777 - i, 7 + i]));
    let golden = expected().get("losses").unwrap().to_f32();
    assert_eq!(golden.len(), 10);
    for (step, &golden) in golden.iter().enumerate() {
        let (x, targets) = &batches[step % 2];
        let loss = cross_entropy(&network.logits(x).unwrap(), targets).unwrap();
        let value = loss.double_value(&[]);
        sgd.step(&loss, 1.0).unwrap();
        let difference = (value - f64::from(golden)).abs();
        assert!(
            difference < 1e-3 * f64::from(golden).max(1.0),
            "step {step}: {value}, not {golden}"
        );
    }
    assert!(golden[9] < 0.5 * golden[0], "a curve that does not fall shows nothing");
}
