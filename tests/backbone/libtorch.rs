//! Plain convolutions.

use ec2train::model::backbone::LibtorchBackbone;

use crate::formula::{IMAGE_LEN, assert_close, golden_features, pixels, state_dict};

fn features(backbone: &LibtorchBackbone, pixels: &[f32]) -> Vec<f32> {
    let mut features = vec![f32::NAN; pixels.len() / IMAGE_LEN * 2048];
    backbone.forward(pixels, &mut features, None).unwrap();
    features
}

#[test]
fn features_are_those_of_torchvision() {
    let backbone = LibtorchBackbone::new(&state_dict(), 2).unwrap();
    assert_close(&features(&backbone, &pixels()), &golden_features());
}

#[test]
fn the_features_of_an_image_do_not_depend_on_the_other_images_of_its_batch() {
    let backbone = LibtorchBackbone::new(&state_dict(), 2).unwrap();
    let pixels = pixels();
    let (first, second) = pixels.split_at(IMAGE_LEN);
    let mixed = features(&backbone, &[second, first, first].concat());
    assert_eq!(mixed[2048..4096], mixed[4096..], "alone in the last batch, or beside another");
    assert_ne!(mixed[..2048], mixed[2048..4096]);
}
