//! Plain convolutions.

use ec2train::model::backbone::Backbone;
use ec2train::model::head::to_vec;

use crate::formula::{IMAGE_LEN, assert_close, golden_features, pixels, state_dict};

#[test]
fn features_are_those_of_torchvision() {
    let backbone = Backbone::new(&state_dict()).unwrap();
    let found = to_vec(&backbone.forward(&pixels()).unwrap()).unwrap();
    assert_close(&found, &golden_features());
}

#[test]
fn the_features_of_an_image_do_not_depend_on_the_other_images_of_its_batch() {
    tch::set_num_threads(1);
    let backbone = Backbone::new(&state_dict()).unwrap();
    let pixels = pixels();
    let (first, second) = pixels.split_at(IMAGE_LEN);
    let features = |batch: &[&[f32]]| to_vec(&backbone.forward(&batch.concat()).unwrap()).unwrap();
    let alike = features(&[first, first]);
    let mixed = features(&[second, first]);
    assert_eq!(alike[..2048], alike[2048..], "both rows of a batch are computed alike");
    assert_eq!(mixed[2048..], alike[..2048]);
    assert_ne!(mixed[..2048], alike[..2048]);
}
