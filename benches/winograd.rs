//! The 3x3 convolutions of ResNet50 with stride 1, for as many images as they take at once.

use divan::counter::ItemsCount;
use ec2train::kernels::isa::Isa;
use ec2train::kernels::winograd::{Scratch, Winograd};

fn main() {
    divan::main();
}

/// Images, side, channels.
const SHAPES: [(usize, usize, usize); 4] = [(1, 56, 64), (1, 28, 128), (8, 14, 256), (8, 7, 512)];

/// Items are the multiply-adds of the direct way, of which about three in four are saved.
#[divan::bench(args = SHAPES)]
fn convolution(bencher: divan::Bencher, (num_images, side, channels): (usize, usize, usize)) {
    let isa = Isa::fastest();
    let len = num_images * side * side * channels;
    let input: Vec<f32> = (0..len).map(|i| (i % 101) as f32 / 101.0).collect();
    let weight: Vec<f32> =
        (0..channels * channels * 9).map(|i| (i % 103) as f32 / 103.0 - 0.5).collect();
    let row = |output: usize, row: &mut [f32]| {
        row.copy_from_slice(&weight[output * row.len()..][..row.len()]);
    };
    let winograd = Winograd::new(isa, channels, channels, row, &vec![0.5; channels]);
    let mut scratch = Scratch::default();
    let mut out = vec![0.0; len];
    bencher
        .counter(ItemsCount::new(len * channels * 9))
        .bench_local(|| winograd.forward(&input, side, &mut scratch, &mut out));
}
