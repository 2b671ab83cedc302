//! The number of workers against the model's bytes.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;

use common::WorkingDir;
use ec2train::job::Job;
use ec2train::pipeline;

#[test]
fn one_two_and_four_workers_make_the_same_model() {
    let working_dir = WorkingDir::new();
    let [one, two, four] = [1, 2, 4].map(|num_workers| {
        let job = Job {
            data_dir: working_dir.path("data/dogImages"),
            weights_dir: working_dir.path("data/weights"),
            model_dir: working_dir.path(format!("TrainedModels/{num_workers}")),
            num_workers,
            ..Job::real()
        };
        let trained = pipeline::train(&job).unwrap();
        assert_eq!(trained.metadata.cost.num_workers, num_workers);
        fs::read(trained.model_path).unwrap()
    });
    assert!(one == two && two == four);
}
