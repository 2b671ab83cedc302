//! The head's fit on as many features as the dog breeds have.

use divan::counter::ItemsCount;
use ec2train::config::{L2_PENALTIES, NUM_FEATURES};
use ec2train::features::{FeatureMatrix, SplitFeatures};
use ec2train::train::fit::{Hyperparameters, fit};
use ec2train::train::search::choose_penalty;

fn main() {
    divan::main();
}

const NUM_CLASSES: usize = 133;

/// Items are epochs.
#[divan::bench(args = [1, 2], sample_count = 5)]
fn epochs(bencher: divan::Bencher, num_threads: usize) {
    let (train, valid) = (features(6_680), features(835));
    let hyperparameters = Hyperparameters { max_epochs: 2, ..Hyperparameters::default() };
    bencher
        .counter(ItemsCount::new(hyperparameters.max_epochs))
        .bench(|| fit(&train, &valid, NUM_CLASSES, &hyperparameters, num_threads, |_| Ok(())));
}

/// The search for the penalty, from two epochs on.
#[divan::bench(args = [1, 2], sample_count = 3)]
fn search(bencher: divan::Bencher, num_threads: usize) {
    let (train, valid) = (features(6_680), features(835));
    let hyperparameters = Hyperparameters { max_epochs: 2, ..Hyperparameters::default() };
    let fit = || fit(&train, &valid, NUM_CLASSES, &hyperparameters, num_threads, |_| Ok(()));
    bencher
        .with_inputs(|| (fit().expect("a head"), train.clone(), valid.clone()))
        .bench_local_values(|(mut fitted, train, valid)| {
            choose_penalty(&mut fitted, train, valid, &hyperparameters, &L2_PENALTIES, num_threads)
        });
}

/// Numbers of no pattern, with some features raised for each class.
fn features(num_rows: usize) -> SplitFeatures {
    let mut matrix = FeatureMatrix::with_capacity(NUM_FEATURES, num_rows);
    for row in 0..num_rows {
        let class = row % NUM_CLASSES;
        let values: Vec<f32> = (0..NUM_FEATURES)
            .map(|feature| {
                let noise = ((row * 7919 + feature * 104_729) % 10_007) as f32 / 10_007.0;
                noise + if feature % NUM_CLASSES == class { 1.0 } else { 0.0 }
            })
            .collect();
        matrix.push(&values, class);
    }
    matrix.into()
}
