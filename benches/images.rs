//! A photograph of 640x480 pixels: decoding, the transform.

use std::path::Path;

use ec2train::bench::photograph;
use ec2train::config::RESIZE_V1;
use ec2train::data::decode::decode;
use ec2train::data::transform::{EvalTransform, Scratch};

fn main() {
    divan::main();
}

#[divan::bench]
fn decoding(bencher: divan::Bencher) {
    let bytes = photograph(1).expect("a JPEG");
    bencher.bench(|| decode(Path::new("photograph.jpg"), &bytes));
}

#[divan::bench]
fn transform(bencher: divan::Bencher) {
    let bytes = photograph(1).expect("a JPEG");
    let image = decode(Path::new("photograph.jpg"), &bytes).expect("an image").image;
    let transform = EvalTransform::imagenet(RESIZE_V1);
    let mut scratch = Scratch::default();
    let mut pixels = vec![0.0; transform.output_len()];
    bencher.bench_local(|| transform.apply(&image, &mut scratch, &mut pixels));
}
