//! SIGTERM, SIGINT and SIGHUP.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rustix::process::Signal;

use super::common::{WorkingDir, text};
use super::run::{Run, code};

/// Two seconds are promised, and `scripts/fault_test.sh` holds the release build to them. This is for
/// a build that is hardly optimized, on a machine that may be busy otherwise.
const LIMIT: Duration = Duration::from_secs(10);

/// When the program's own code begins: before that the system ends it by itself.
const FIRST_WORDS: &str = "ec2train 0";

#[test]
fn sigterm_ends_a_run_at_any_stage_and_the_next_one_goes_on() {
    let reference = WorkingDir::with_features();
    assert!(reference.run(&[]).status.success());

    let mut rng = ChaCha8Rng::seed_from_u64(7);
    for computing in [true, false] {
        let working_dir = if computing { WorkingDir::small() } else { WorkingDir::with_features() };
        let latest = Duration::from_millis(if computing { 2500 } else { 600 });
        for _ in 0..4 {
            let mut run = Run::start(&working_dir);
            assert!(run.wait_for(FIRST_WORDS));
            thread::sleep(rng.random_range(Duration::ZERO..latest));
            let begin = Instant::now();
            run.signal(Signal::TERM);
            let status = run.wait();
            let duration = begin.elapsed();
            assert!(duration < LIMIT, "{duration:?}: {}", run.log());
            // It may have been done a moment before.
            if status.success() {
                assert!(working_dir.path("TrainedModels/model.pth").exists());
                continue;
            }
            assert_eq!(status.code(), Some(143), "{}", run.log());
            assert!(run.log().contains("stopped by SIGTERM"), "{}", run.log());
            let status = text(&working_dir.run(&["status"]).stdout);
            assert!(status.contains("exit 143 in stage"), "{status}");
        }
        let output = working_dir.run(&[]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        let model = |dir: &WorkingDir| fs::read(dir.path("TrainedModels/model.pth")).unwrap();
        assert!(model(&working_dir) == model(&reference));
    }
}

#[test]
fn a_second_sigint_ends_at_once() {
    let working_dir = WorkingDir::small();
    let mut run = Run::start(&working_dir);
    // While weights are packed or a chunk is computed, which takes longer than what is measured here: with AMX the
    // whole run is over in 0.4 s.
    assert!(run.wait_for("features of 0 images"));
    thread::sleep(Duration::from_millis(50));
    run.signal(Signal::INT);
    thread::sleep(Duration::from_millis(10));
    let begin = Instant::now();
    run.signal(Signal::INT);
    assert_eq!(code(run.wait()), 130, "{}", run.log());
    assert!(begin.elapsed() < LIMIT / 5, "{:?}", begin.elapsed());
}

#[test]
fn a_broken_ssh_session_does_not_end_a_run() {
    let working_dir = WorkingDir::with_features();
    let mut run = Run::start(&working_dir);
    assert!(run.wait_for(FIRST_WORDS));
    run.signal(Signal::HUP);
    assert!(run.wait().success(), "{}", run.log());
    assert!(run.log().contains("the run goes on"), "{}", run.log());
    assert!(working_dir.path("TrainedModels/model.pth").exists());
}

#[test]
fn drawing_the_sample_can_be_stopped() {
    let working_dir = WorkingDir::without_weights();
    let mut run = Run::start_with(&working_dir, &["sample"]);
    thread::sleep(Duration::from_millis(1000));
    let begin = Instant::now();
    run.signal(Signal::INT);
    assert_eq!(code(run.wait()), 130, "{}", run.log());
    assert!(begin.elapsed() < LIMIT, "{:?}", begin.elapsed());
}
