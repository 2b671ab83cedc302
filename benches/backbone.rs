//! The backbone on a chunk of images, one thread, with each engine of this CPU.

use divan::counter::ItemsCount;
use ec2train::bench::state_dict;
use ec2train::config::{CHUNK, CROP, NUM_FEATURES};
use ec2train::model::backbone::{Backbone, Engine};

fn main() {
    #[cfg(feature = "torch")]
    ec2train::libtorch::link();
    divan::main();
}

/// Items are images.
#[divan::bench(args = engines(), sample_count = 10)]
fn chunk(bencher: divan::Bencher, name: &str) {
    let engine = Engine::supported().into_iter().find(|engine| engine.name() == name);
    let engine = engine.expect("an engine of this CPU");
    let backbone = Backbone::new(engine, &state_dict(), CHUNK).expect("a backbone");
    let mut worker = backbone.worker();
    let pixels: Vec<f32> =
        (0..CHUNK * (CROP * CROP) as usize * 3).map(|i| (i % 997) as f32 / 250.0 - 2.0).collect();
    let mut features = vec![0.0; CHUNK * NUM_FEATURES];
    bencher.counter(ItemsCount::new(CHUNK)).bench_local(|| worker.forward(&pixels, &mut features));
}

fn engines() -> Vec<&'static str> {
    Engine::supported().into_iter().map(Engine::name).collect()
}
