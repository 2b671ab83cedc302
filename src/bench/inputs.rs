//! The same images and weights on every machine, so that machines can be compared.

use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, ImageEncoder};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::error::{Error, Result};
use crate::model::resnet::tensor_specs;
use crate::model::state_dict::{Dtype, StateDict, TensorData};

/// Usual size of a photograph on the web, and of the median image of the dog breeds, in pixels.
const WIDTH: u32 = 640;
const HEIGHT: u32 = 480;
/// Of 1 to 100. With the grain below a file has about 100 KB.
const QUALITY: u8 = 85;

/// The bytes of a JPEG of 640x480 pixels: soft shapes under a grain, other ones for each seed.
///
/// # Errors
/// When the encoder refuses, which it has no reason to.
pub fn photograph(seed: u64) -> Result<Vec<u8>> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let waves: Vec<[f32; 4]> = (0..9)
        .map(|_| {
            let frequency = rng.random_range(0.004..0.06f32);
            let angle = rng.random_range(0.0..std::f32::consts::TAU);
            let phase = rng.random_range(0.0..std::f32::consts::TAU);
            [frequency * angle.cos(), frequency * angle.sin(), phase, rng.random_range(5.0..30.0)]
        })
        .collect();
    let mut pixels = Vec::with_capacity((WIDTH * HEIGHT * 3) as usize);
    for y in 0..HEIGHT {
        for x in 0..WIDTH {
            let grain = rng.random_range(-9.0..9.0f32);
            for channel in waves.chunks_exact(3) {
                let level: f32 = channel
                    .iter()
                    .map(|[dx, dy, phase, height]| {
                        height * (dx * x as f32 + dy * y as f32 + phase).sin()
                    })
                    .sum();
                pixels.push((128.0 + level + grain).clamp(0.0, 255.0) as u8);
            }
        }
    }
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, QUALITY)
        .write_image(&pixels, WIDTH, HEIGHT, ExtendedColorType::Rgb8)
        .map_err(|error| Error::Internal(format!("cannot encode a JPEG: {error}")))?;
    Ok(bytes)
}

/// A ResNet50 that was never trained, without its head: He et al.'s initialization, with norms that
/// keep the activations in range. What the weights are does not change how long they take.
pub fn state_dict() -> StateDict {
    let mut rng = ChaCha8Rng::seed_from_u64(50);
    let mut state_dict = StateDict::new();
    for spec in tensor_specs(0).into_iter().filter(|spec| !spec.name.starts_with("fc.")) {
        let len: usize = spec.shape.iter().product();
        let tensor = if spec.dtype == Dtype::I64 {
            TensorData::scalar_i64(0)
        } else if spec.shape.len() > 1 {
            // Uniform numbers of variance 2 / fan-in.
            let bound = (6.0 / (len / spec.shape[0]) as f32).sqrt();
            let values: Vec<f32> = (0..len).map(|_| rng.random_range(-bound..bound)).collect();
            TensorData::from_f32(&spec.shape, &values)
        } else {
            let is_branch_end = spec.name.contains(".bn3.") && spec.name.ends_with(".weight");
            let value = match spec.name.rsplit('.').next() {
                Some("weight") if is_branch_end => 0.2,
                Some("weight" | "running_var") => 1.0,
                _ => 0.0,
            };
            TensorData::from_f32(&spec.shape, &vec![value; len])
        };
        state_dict.insert(spec.name, tensor);
    }
    state_dict
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::data::decode::decode;

    #[test]
    fn a_photograph_is_an_ordinary_jpeg_and_always_the_same() {
        let bytes = photograph(1).unwrap();
        assert_eq!(photograph(1).unwrap(), bytes);
        assert_ne!(photograph(2).unwrap(), bytes);
        assert!((60_000..160_000).contains(&bytes.len()), "{} bytes", bytes.len());
        let decoded = decode(Path::new("photograph.jpg"), &bytes).unwrap();
        assert_eq!(decoded.image.dimensions(), (WIDTH, HEIGHT));
        assert_eq!(decoded.warning, None);
    }

    #[test]
    fn the_weights_are_those_of_a_resnet50() {
        let mut specs = tensor_specs(0);
        specs.retain(|spec| !spec.name.starts_with("fc."));
        state_dict().check(Path::new("bench"), &specs).unwrap();
    }
}
