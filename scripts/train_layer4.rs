//! The main job with `TRAIN_FROM` set to `Layer4`, without editing the constant.
//!
//! `cargo run --release --example train_layer4 [-- --sample] [EPOCHS] [RATE]`, where `ec2train` would be started.
//! Writes the measures of valid and test to stdout.

use std::process::ExitCode;

use ec2train::config::TrainFrom;
use ec2train::job::Job;
use ec2train::pipeline;
use ec2train::run::signals;

fn main() -> ExitCode {
    ec2train::libtorch::link();
    let is_sample = std::env::args().any(|argument| argument == "--sample");
    let mut job = if is_sample { Job::sample() } else { Job::real() };
    job.hyperparameters.train_from = TrainFrom::Layer4;
    let settings = &mut job.hyperparameters.layer4;
    let mut numbers = std::env::args().filter_map(|argument| argument.parse::<f64>().ok());
    settings.max_epochs = numbers.next().map_or(settings.max_epochs, |number| number as usize);
    settings.learning_rate = numbers.next().unwrap_or(settings.learning_rate);
    settings.head_learning_rate = 10.0 * settings.learning_rate;
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info")).init();
    let trained = signals::install().and_then(|()| pipeline::train(&job));
    match trained {
        Ok(trained) => {
            let metrics = trained.metadata.metrics;
            for (name, metrics) in [("valid", metrics.valid), ("test", metrics.test)] {
                println!(
                    "{name} loss {:.4} top-1 {:.4} top-5 {:.4}",
                    metrics.loss, metrics.top1_accuracy, metrics.top5_accuracy
                );
            }
            println!("peak memory {} MB", trained.metadata.cost.peak_memory_bytes / 1_000_000);
            ExitCode::SUCCESS
        }
        Err(error) => {
            log::error!("{error}");
            ExitCode::from(error.exit_code())
        }
    }
}
