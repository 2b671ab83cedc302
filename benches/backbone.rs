//! The backbone with each engine of this CPU.

use divan::counter::ItemsCount;
use ec2train::bench::state_dict;
use ec2train::config::{CHUNK, CROP, NUM_FEATURES};
use ec2train::model::backbone::{Backbone, Engine};

fn main() {
    #[cfg(feature = "torch")]
    ec2train::libtorch::link();
    divan::main();
}

/// On one thread. Items are images.
#[divan::bench(args = engines(), sample_count = 10)]
fn chunk(bencher: divan::Bencher, name: &str) {
    forward(bencher, name, CHUNK);
}

/// One image alone on one thread, as a server computes it that has no other request.
#[divan::bench(args = engines(), sample_count = 50)]
fn image(bencher: divan::Bencher, name: &str) {
    forward(bencher, name, 1);
}

/// Folding, transforming and packing the weights, on all threads.
#[divan::bench(args = engines(), sample_count = 10)]
fn pack(bencher: divan::Bencher, name: &str) {
    let (engine, weights) = (engine(name), state_dict());
    bencher.bench_local(|| Backbone::new(engine, &weights, CHUNK).expect("a backbone"));
}

fn forward(bencher: divan::Bencher, name: &str, num_images: usize) {
    let backbone = Backbone::new(engine(name), &state_dict(), num_images).expect("a backbone");
    let mut worker = backbone.worker();
    let pixels: Vec<f32> = (0..num_images * (CROP * CROP) as usize * 3)
        .map(|i| (i % 997) as f32 / 250.0 - 2.0)
        .collect();
    let mut features = vec![0.0; num_images * NUM_FEATURES];
    bencher
        .counter(ItemsCount::new(num_images))
        .bench_local(|| worker.forward(&pixels, &mut features));
}

fn engine(name: &str) -> Engine {
    let engine = Engine::supported().into_iter().find(|engine| engine.name() == name);
    engine.expect("an engine of this CPU")
}

fn engines() -> Vec<&'static str> {
    Engine::supported().into_iter().map(Engine::name).collect()
}
