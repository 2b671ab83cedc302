//! SIGTERM, as SageMaker sends it when a job is stopped or a spot instance is taken back.

use std::thread;
use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rustix::process::{Pid, Signal, kill_process};

use super::container::{Container, finished, names};

/// Of SageMaker, which kills afterwards.
const LIMIT: Duration = Duration::from_secs(120);

#[test]
fn stopped_at_random_instants_a_job_goes_on_from_its_checkpoints_to_the_same_bytes() {
    let mut rng = ChaCha8Rng::seed_from_u64(6);
    for computing in [true, false] {
        let container = if computing { Container::new() } else { Container::with_features() };
        container.create_dir("checkpoints");
        let latest = Duration::from_millis(if computing { 2500 } else { 600 });
        for _ in 0..if computing { 3 } else { 5 } {
            let mut process = container.start(&["train"]);
            // Before its own code begins, the system ends it by itself.
            assert!(process.wait_for("ec2train 0").is_some(), "{}", process.log());
            thread::sleep(rng.random_range(Duration::ZERO..latest));
            let begin = Instant::now();
            // It may have ended by itself.
            let _ = kill_process(Pid::from_child(&process.child), Signal::TERM);
            let status = process.child.wait().unwrap();
            assert!(begin.elapsed() < LIMIT);
            // It may have been done a moment before.
            if status.success() {
                assert_eq!(container.failure(), None);
                continue;
            }
            assert_eq!(status.code(), Some(143), "{}", process.log());
            let failure = container.failure().unwrap();
            assert!(failure.contains("stopped by SIGTERM"), "{failure}");
            assert!(failure.contains("checkpoints: a job with the same"), "{failure}");
        }
        container.train_well(&[]);
        assert!(container.model() == finished().model());
        // What a job that is over need not go on from is not kept in S3 for the next one.
        let kept = names(&container.path("checkpoints"));
        assert_eq!(kept, [".lock", "features"]);
        assert_eq!(names(&container.path("model")), ["model.json", "model.pth"]);
    }
}

#[test]
fn without_checkpoints_the_failure_says_what_would_help() {
    let container = Container::new();
    let mut process = container.start(&["train"]);
    assert!(process.wait_for("features of 0 images").is_some(), "{}", process.log());
    kill_process(Pid::from_child(&process.child), Signal::TERM).unwrap();
    assert_eq!(process.child.wait().unwrap().code(), Some(143), "{}", process.log());
    let failure = container.failure().unwrap();
    assert!(failure.contains("with a CheckpointConfig"), "{failure}");
    assert!(!container.path("checkpoints").exists());
}
