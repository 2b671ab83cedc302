//! A photograph of 640x480 pixels: decoding, the transform.

use std::path::Path;

use ec2train::bench::photograph;
use ec2train::config::RESIZE_V1;
use ec2train::data::decode::{MAX_ALLOC_BYTES, decode, decode_section};
use ec2train::data::resize::Scratch;
use ec2train::data::transform::EvalTransform;

fn main() {
    divan::main();
}

#[divan::bench]
fn decoding(bencher: divan::Bencher) {
    let bytes = photograph(1).expect("a JPEG");
    bencher.bench(|| decode(Path::new("photograph.jpg"), &bytes));
}

#[divan::bench]
fn decoding_to_what_the_crop_shows(bencher: divan::Bencher) {
    let bytes = photograph(1).expect("a JPEG");
    let transform = EvalTransform::imagenet(RESIZE_V1);
    let mut scratch = Scratch::default();
    bencher.bench_local(|| {
        let section = |width, height| transform.section(width, height);
        let path = Path::new("photograph.jpg");
        decode_section(MAX_ALLOC_BYTES, path, &bytes, section, &mut scratch)
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
