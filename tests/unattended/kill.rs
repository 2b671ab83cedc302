//! kill -9 at random instants.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ec2train::artifact;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rustix::process::Signal;

use super::common::set_on_drop::SetOnDrop;
use super::common::{WorkingDir, text};
use super::run::Run;

const KILLS_WHILE_COMPUTING: usize = 3;
const KILLS_WHILE_FITTING: usize = 12;

#[test]
fn killed_at_any_instant_the_next_start_ends_with_the_same_bytes_and_readers_always_find_a_pair() {
    let undisturbed = WorkingDir::with_features();
    let begin = Instant::now();
    finish(&undisturbed);
    let duration = begin.elapsed();
    let expected = model(&undisturbed);

    // From nothing: features, fit and the first model are cut off.
    let mut rng = ChaCha8Rng::seed_from_u64(133);
    let fresh = WorkingDir::small();
    for _ in 0..KILLS_WHILE_COMPUTING {
        kill_after(&fresh, rng.random_range(Duration::ZERO..Duration::from_millis(2500)));
    }
    finish(&fresh);
    assert!(model(&fresh) == expected);
    drop(fresh);

    // With all features there, most of the time goes into the fit and into saving. Every other model
    // is another one, so that a reader may find a mixed pair.
    let variants = [expected, other_model(&undisturbed)];
    let ended = AtomicBool::new(false);
    let num_read = AtomicUsize::new(0);
    thread::scope(|scope| {
        let _end = SetOnDrop(&ended);
        let reader = scope.spawn(|| {
            let dir = undisturbed.path("TrainedModels");
            while !ended.load(Ordering::Relaxed) {
                match artifact::load(&dir) {
                    Ok(_) => num_read.fetch_add(1, Ordering::Relaxed),
                    Err(error) => panic!("after {num_read:?} readings: {error}"),
                };
                read_as_others_do(&dir);
            }
        });
        for round in 0..KILLS_WHILE_FITTING {
            swap_classes(&undisturbed);
            kill_after(&undisturbed, rng.random_range(Duration::ZERO..duration));
            finish(&undisturbed);
            assert!(model(&undisturbed) == variants[(round + 1) % 2], "round {round}");
            assert!(!reader.is_finished(), "the reader failed");
        }
    });
    assert!(num_read.into_inner() > 0);
    let left = fs::read_dir(undisturbed.path("TrainedModels")).unwrap();
    let left: Vec<String> =
        left.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert!(!left.iter().any(|name| name.starts_with(".writing")), "{left:?}");
    assert!(!left.contains(&"fit.checkpoint".to_owned()), "{left:?}");
    let kept = fs::read_dir(undisturbed.path("TrainedModels/runs")).unwrap().count();
    assert!(kept <= 4, "{kept} models are kept");
}

/// As a program does that knows nothing of ours: it follows `current` once.
fn read_as_others_do(dir: &std::path::Path) {
    let resolved = fs::canonicalize(dir.join("current")).unwrap();
    let metadata = fs::read(resolved.join("model.json"));
    let model = fs::read(resolved.join("model.pth"));
    // Its folder may have been deleted meanwhile only when three newer models are there.
    let (Ok(metadata), Ok(model)) = (metadata, model) else { return };
    let metadata: serde_json::Value = serde_json::from_slice(&metadata).unwrap();
    use sha2::Digest;
    let mut hasher = sha2::Sha256::new();
    hasher.update(&model);
    assert_eq!(metadata["model_sha256"], ec2train::digest::hex(hasher));
}

/// Gives another head of the same accuracy.
fn swap_classes(working_dir: &WorkingDir) {
    working_dir.swap_classes(&["train", "valid", "test"]);
}

fn other_model(working_dir: &WorkingDir) -> Vec<u8> {
    swap_classes(working_dir);
    finish(working_dir);
    let other = model(working_dir);
    swap_classes(working_dir);
    finish(working_dir);
    other
}

fn kill_after(working_dir: &WorkingDir, delay: Duration) {
    let mut run = Run::start(working_dir);
    thread::sleep(delay);
    run.signal(Signal::KILL);
    run.wait();
}

fn finish(working_dir: &WorkingDir) {
    let output = working_dir.run(&[]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
}

fn model(working_dir: &WorkingDir) -> Vec<u8> {
    fs::read(working_dir.path("TrainedModels/model.pth")).unwrap()
}
