//! Weights and pixels by formula; the features that torchvision computes of them.

use std::path::Path;

use ec2train::model::resnet::tensor_specs;
use ec2train::model::state_dict::{Dtype, StateDict, TensorData, TensorSpec};

pub const IMAGE_LEN: usize = 224 * 224 * 3;

/// `count` numbers in [0, 1), as `uniform` in golden/backbone/generate.py.
pub fn uniform(stream: u64, count: usize) -> impl Iterator<Item = f64> {
    (0..count as u64).map(move |index| {
        let mut z = ((stream << 32) + index + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 40) as f64 / f64::from(1 << 24)
    })
}

/// As `tensor` in golden/backbone/generate.py.
fn tensor(stream: u64, spec: &TensorSpec) -> TensorData {
    if spec.dtype == Dtype::I64 {
        return TensorData::scalar_i64(0);
    }
    let len: usize = spec.shape.iter().product();
    let value = |u: f64| {
        if spec.shape.len() > 1 {
            (6.0 / (len / spec.shape[0]) as f64).sqrt() * (2.0 * u - 1.0)
        } else if spec.name.ends_with("running_var") {
            0.5 + u
        } else if spec.name.ends_with("weight") {
            (if spec.name.contains(".bn3.") { 0.2 } else { 1.0 }) * (0.75 + 0.5 * u)
        } else {
            0.2 * (u - 0.5)
        }
    };
    let values: Vec<f32> = uniform(stream, len).map(|u| value(u) as f32).collect();
    TensorData::from_f32(&spec.shape, &values)
}

/// Of a ResNet50 with 1000 classes.
pub fn state_dict() -> StateDict {
    let mut state_dict = StateDict::new();
    for (stream, spec) in tensor_specs(1000).iter().enumerate() {
        state_dict.insert(spec.name.clone(), tensor(stream as u64, spec));
    }
    state_dict
}

/// Normalized pixels `[2, 224, 224, 3]`.
pub fn pixels() -> Vec<f32> {
    uniform(1000, 2 * IMAGE_LEN).map(|u| (4.0 * u - 2.0) as f32).collect()
}

/// What torchvision computes of [`pixels`], `[2, 2048]`.
pub fn golden_features() -> Vec<f32> {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/backbone/features.safetensors");
    StateDict::load(&path).unwrap().get("features").unwrap().to_f32()
}

/// Fails where features differ by more than 1e-5 of the largest.
pub fn assert_close(found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len());
    let scale = expected.iter().fold(0.0f32, |max, value| max.max(value.abs()));
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() <= 1e-5 * scale, "{found} {expected}, scale {scale}");
    }
}

#[cfg(feature = "native")]
fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
    };
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

/// Fails where the cosine of an image's features is less than `least`.
#[cfg(feature = "native")]
pub fn assert_aligned(found: &[f32], expected: &[f32], least: f64) {
    for (found, expected) in found.chunks_exact(2048).zip(expected.chunks_exact(2048)) {
        let cosine = cosine(found, expected);
        assert!(cosine >= least, "cosine {cosine}");
    }
}
