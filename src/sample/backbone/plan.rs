//! Which block of the constructed backbone does what.
//!
//! Each layer halves the grid: 4, 8, 16, 32 pixels. In each, the first block blurs and carries over
//! what came before, another measures edges and lines of the blurred picture at that scale, the
//! others measure how these measures vary (scattering of the second order, Bruna and Mallat 2013)
//! and compare them at random. The 2048 pooled features are the means of all these over the image.

use std::ops::Range;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::block::Block;
use super::stem;
use crate::model::resnet::{self, Bottleneck};
use crate::model::state_dict::{Dtype, StateDict, TensorData};

/// Outputs of the head that torchvision's file has, all zero here: nothing was ever classified.
const NUM_IMAGENET_CLASSES: usize = 1000;
/// Brings the features to the size of a pretrained ResNet50's, whose standard deviation over
/// images is about 0.4.
const LAST_GAIN: f32 = 3.0;

/// Channels of the blurred picture, in every layer.
const PICTURE: Range<usize> = stem::PICTURE;
/// Edges and lines measured in each layer.
const ORIENTED: [Range<usize>; 4] = [64..88, 216..240, 432..456, 1024..1048];

/// The state dict: torchvision's 320 names, shapes and types of `resnet50()`.
pub fn build_backbone() -> StateDict {
    let mut state_dict = StateDict::new();
    let conv1 = TensorData::from_f32(&[PICTURE.end, 3, 7, 7], &stem::weights());
    let mut rng = ChaCha8Rng::seed_from_u64(50);
    let shapes = resnet::bottlenecks();
    let mut blocks: Vec<Block> =
        shapes.iter().map(|shape| Block::new(shape, gain(shape))).collect();
    fill(&mut blocks, &mut rng);

    let mut convolutions = StateDict::new();
    convolutions.insert("conv1.weight", conv1);
    for block in blocks {
        block.insert_into(&mut convolutions);
    }
    for spec in resnet::tensor_specs(NUM_IMAGENET_CLASSES) {
        let tensor = convolutions.remove(&spec.name).unwrap_or_else(|| {
            // The identity as a norm: weight 1, variance 1, all else 0.
            let is_one = spec.name.ends_with("running_var")
                || spec.name.ends_with(".weight") && spec.shape.len() == 1;
            match spec.dtype {
                Dtype::I64 => TensorData::scalar_i64(0),
                _ => {
                    let num_elements = spec.shape.iter().product();
                    let value = if is_one { 1.0 } else { 0.0 };
                    TensorData::from_f32(&spec.shape, &vec![value; num_elements])
                }
            }
        });
        state_dict.insert(spec.name, tensor);
    }
    state_dict
}

fn gain(shape: &Bottleneck) -> f32 {
    let is_last = shape.downsample.as_ref().is_some_and(|project| project.out_channels == 2048);
    if is_last { LAST_GAIN } else { 1.0 }
}

/// Fills the 16 blocks: 3, 4, 6 and 3 of the four layers.
fn fill(blocks: &mut [Block], rng: &mut ChaCha8Rng) {
    let mut contrasts: Vec<usize> = stem::CONTRASTS.collect();

    // layer1, 256 channels: compares what conv1 found within 12 pixels.
    blocks[0].keep(0..64);
    blocks[0].measure_orientations(PICTURE, ORIENTED[0].clone());
    contrasts.extend(ORIENTED[0].clone());
    blocks[1].compare(&contrasts, 88..152, rng);
    blocks[2].compare(&contrasts, 152..216, rng);

    // layer2, 512 channels.
    blocks[3].smooth(PICTURE.chain(contrasts.iter().copied()));
    blocks[3].keep(88..216);
    blocks[4].measure_orientations(PICTURE, ORIENTED[1].clone());
    contrasts.extend(ORIENTED[1].clone());
    blocks[5].measure_variation(&contrasts, 240..304, rng);
    blocks[6].compare(&contrasts, 304..432, rng);

    // layer3, 1024 channels; the last two blocks go by what layer2 found to vary.
    blocks[7].smooth(PICTURE.chain(contrasts.iter().copied()).chain(88..216));
    blocks[7].keep(240..432);
    blocks[8].measure_orientations(PICTURE, ORIENTED[2].clone());
    contrasts.extend(ORIENTED[2].clone());
    blocks[9].measure_variation(&contrasts, 456..584, rng);
    blocks[10].compare(&contrasts, 584..840, rng);
    blocks[11].measure_variation(&contrasts, 840..932, rng);
    let variations: Vec<usize> = (240..304).chain(456..584).chain(840..932).collect();
    blocks[12].compare(&variations, 932..1024, rng);

    // layer4, 2048 channels.
    let compared_or_varied = (88..216).chain(240..432).chain(456..1024);
    blocks[13].smooth(PICTURE.chain(contrasts.iter().copied()));
    blocks[13].keep(compared_or_varied.clone());
    let everything: Vec<usize> = contrasts.iter().copied().chain(compared_or_varied).collect();
    blocks[13].compare_in_shortcut(&everything, 1560..2048, rng);
    blocks[14].measure_orientations(PICTURE, ORIENTED[3].clone());
    contrasts.extend(ORIENTED[3].clone());
    blocks[15].compare(&contrasts, 1048..1560, rng);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_values_are_finite_and_every_feature_is_fed() {
        let state_dict = build_backbone();
        for (name, tensor) in state_dict.iter() {
            assert!(
                tensor.dtype == Dtype::I64 || tensor.to_f32().iter().all(|v| v.is_finite()),
                "{name}"
            );
        }
        let mut is_fed = vec![false; 2048];
        for name in ["layer4.0.downsample.0", "layer4.0.conv3", "layer4.1.conv3", "layer4.2.conv3"]
        {
            let weights = state_dict.get(&format!("{name}.weight")).unwrap().to_f32();
            for (row, is_fed) in weights.chunks(weights.len() / 2048).zip(&mut is_fed) {
                *is_fed |= row.iter().any(|&weight| weight != 0.0);
            }
        }
        let num_fed = is_fed.iter().filter(|&&is_fed| is_fed).count();
        assert_eq!(num_fed, 2048);
    }

    #[test]
    fn two_builds_are_equal() {
        assert!(build_backbone().iter().eq(build_backbone().iter()));
    }
}
