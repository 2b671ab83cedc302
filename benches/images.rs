//! A photograph of 640x480 pixels: decoding, the transform.

use std::path::Path;

use ec2train::bench::photograph;
use ec2train::config::RESIZE_V1;
use ec2train::data::decode::{MAX_ALLOC_BYTES, decode, decode_part};
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
fn decoding_of_what_the_crop_shows(bencher: divan::Bencher) {
    let bytes = photograph(1).expect("a JPEG");
    let transform = EvalTransform::imagenet(RESIZE_V1);
    bencher.bench(|| {
        let needed = |width, height| transform.needed(width, height);
        decode_part(MAX_ALLOC_BYTES, Path::new("photograph.jpg"), &bytes, needed)
    });
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
