//! What the main job keeps from run to run, with the real binary.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use common::{WorkingDir, command, sorted_entries, text};
use ec2train::model::backbone::Engine;

/// Six classes with 5 train, 1 valid and 1 test image.
const NUM_IMAGES: usize = 42;

/// The images whose features a run found stored, and those it computed.
fn stored_and_computed(output: &Output) -> (usize, usize) {
    let log = text(&output.stderr);
    let line = log.lines().find(|line| line.contains("images are stored")).unwrap();
    let numbers: Vec<usize> = line
        .split("features of ")
        .nth(1)
        .unwrap()
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|word| word.parse().ok())
        .collect();
    (numbers[0], numbers[1])
}

fn train(working_dir: &WorkingDir) -> Output {
    let output = working_dir.run(&[]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    output
}

fn model(working_dir: &WorkingDir) -> Vec<u8> {
    fs::read(working_dir.path("TrainedModels/model.pth")).unwrap()
}

/// The only file of features.
fn store_path(working_dir: &WorkingDir) -> PathBuf {
    let mut entries = sorted_entries(&working_dir.path("TrainedModels/features"));
    entries.retain(|path| path.extension().is_some_and(|extension| extension == "bin"));
    assert_eq!(entries.len(), 1, "{entries:?}");
    entries.remove(0)
}

/// Fails where something lies in `runs` that is neither a training nor the metrics of one.
fn assert_no_remains(working_dir: &WorkingDir) {
    for path in sorted_entries(&working_dir.path("TrainedModels/runs")) {
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(name == "live" || name.starts_with("20"), "{name}");
    }
}

/// Files that were just written may still change without their times telling, so their features
/// are found again by content only.
fn let_files_settle() {
    std::thread::sleep(Duration::from_millis(2100));
}

#[test]
fn only_what_is_missing_changed_or_damaged_is_computed_and_the_model_is_the_same() {
    #[cfg(feature = "torch")]
    ec2train::libtorch::link();
    let working_dir = WorkingDir::new();
    let_files_settle();
    let first = train(&working_dir);
    assert_eq!(stored_and_computed(&first), (0, NUM_IMAGES));
    let expected = model(&working_dir);
    assert_eq!(working_dir.metadata()["engine"], Engine::fastest().name());

    let second = train(&working_dir);
    assert_eq!(stored_and_computed(&second), (NUM_IMAGES, 0));
    assert_eq!(model(&working_dir), expected);

    // One bit in the middle of the file: one record is computed again, not trusted.
    let path = store_path(&working_dir);
    let file = fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
    let middle = file.metadata().unwrap().len() / 2;
    let mut byte = [0];
    file.read_exact_at(&mut byte, middle).unwrap();
    file.write_all_at(&[byte[0] ^ 0x10], middle).unwrap();
    assert_eq!(stored_and_computed(&train(&working_dir)), (NUM_IMAGES - 1, 1));
    assert_eq!(model(&working_dir), expected);
    // The model that was begun meanwhile would have been the same.
    assert_no_remains(&working_dir);

    // The same image under other times is read again, but not computed again.
    let image = &working_dir.images("train", 0)[0];
    let bytes = fs::read(image).unwrap();
    fs::write(image, &bytes).unwrap();
    let_files_settle();
    let output = train(&working_dir);
    assert_eq!(stored_and_computed(&output), (NUM_IMAGES - 1, 1));
    assert_eq!(model(&working_dir), expected);
    assert_eq!(stored_and_computed(&train(&working_dir)), (NUM_IMAGES, 0));

    // Another image under the same name is another image.
    fs::copy(&working_dir.images("train", 1)[0], image).unwrap();
    train(&working_dir);
    assert_ne!(model(&working_dir), expected);
    fs::write(image, &bytes).unwrap();

    // Without the store everything is computed anew.
    fs::remove_dir_all(working_dir.path("TrainedModels/features")).unwrap();
    assert_eq!(stored_and_computed(&train(&working_dir)), (0, NUM_IMAGES));
    assert_eq!(model(&working_dir), expected);
}

#[test]
fn a_run_that_was_killed_is_continued_to_the_same_model() {
    let working_dir = WorkingDir::new();
    let_files_settle();
    let mut child = command(&working_dir.path("")).stderr(Stdio::null()).spawn().unwrap();
    // As soon as the first chunk is stored.
    let features_dir = working_dir.path("TrainedModels/features");
    let deadline = Instant::now() + Duration::from_secs(60);
    let stored_bytes = || -> u64 {
        let Ok(entries) = fs::read_dir(&features_dir) else { return 0 };
        entries.flatten().filter_map(|entry| Some(entry.metadata().ok()?.len())).sum()
    };
    while stored_bytes() < 8 * 8192 {
        assert!(Instant::now() < deadline, "no features after a minute");
        assert_eq!(child.try_wait().unwrap(), None, "it ended before it could be killed");
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!working_dir.path("TrainedModels/model.pth").exists());

    let (stored, computed) = stored_and_computed(&train(&working_dir));
    assert!(stored >= 7, "{stored} stored");
    assert_eq!(stored + computed, NUM_IMAGES);
    assert_no_remains(&working_dir);

    let undisturbed = WorkingDir::new();
    train(&undisturbed);
    assert_eq!(model(&working_dir), model(&undisturbed));
}
