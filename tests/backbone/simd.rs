//! This program's own kernels, for each instruction set of this CPU.

use ec2train::kernels::isa::Isa;
use ec2train::model::backbone::{Network, Scratch, SimdBackbone};

use crate::formula::{IMAGE_LEN, assert_close, golden_features, pixels, state_dict};

fn backbones() -> Vec<SimdBackbone<Isa>> {
    let state_dict = state_dict();
    let isas = Isa::supported();
    if isas.is_empty() {
        eprintln!("SKIPPED, nothing checked: this CPU has no vector instructions with FMA");
    }
    isas.into_iter().map(|isa| SimdBackbone::new(isa, &state_dict).unwrap()).collect()
}

pub fn features<A: Network>(
    backbone: &SimdBackbone<A>,
    scratch: &mut Scratch<A>,
    pixels: &[f32],
) -> Vec<f32> {
    let mut features = vec![f32::NAN; pixels.len() / IMAGE_LEN * 2048];
    backbone.forward(pixels, scratch, &mut features, None);
    features
}

#[test]
fn features_are_those_of_torchvision() {
    for backbone in backbones() {
        assert_close(&features(&backbone, &mut Scratch::default(), &pixels()), &golden_features());
    }
}

#[test]
fn the_features_of_an_image_do_not_depend_on_how_many_there_are() {
    for backbone in backbones() {
        assert_independent_of_neighbours(&backbone);
    }
}

pub fn assert_independent_of_neighbours<A: Network>(backbone: &SimdBackbone<A>) {
    let pixels = pixels();
    let (first, second) = pixels.split_at(IMAGE_LEN);
    let scratch = &mut Scratch::default();
    let many: Vec<f32> = [second, first, second, second, first, first, second].concat();
    let many = features(backbone, scratch, &many);
    // The buffers still hold what seven images left.
    let alone = features(backbone, scratch, first);
    for position in [1, 4, 5] {
        assert_eq!(many[position * 2048..][..2048], alone, "at {position}");
    }
    assert_ne!(many[..2048], alone);
}

#[test]
fn threads_that_share_the_weights_compute_the_same_to_the_bit() {
    for backbone in backbones() {
        let pixels = pixels();
        let (first, second) = pixels.split_at(IMAGE_LEN);
        let in_turn = [first, second].map(|p| features(&backbone, &mut Scratch::default(), p));
        let at_once = std::thread::scope(|scope| {
            [first, second]
                .map(|p| scope.spawn(|| features(&backbone, &mut Scratch::default(), p)))
                .map(|thread| thread.join().unwrap())
        });
        assert_eq!(in_turn, at_once);
    }
}

#[test]
fn all_instruction_sets_compute_the_same_to_the_bit() {
    let found: Vec<_> = backbones()
        .iter()
        .map(|backbone| features(backbone, &mut Scratch::default(), &pixels()))
        .collect();
    for pair in found.windows(2) {
        assert_eq!(pair[0], pair[1]);
    }
}
