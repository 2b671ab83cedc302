//! Processes that die or hang, and what comes of the run afterwards.

use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use super::common::WorkingDir;
use super::ranks::{Place, Rank, expected_model, images, model, num_stored, settled};

/// Until a silent process counts as lost. It beats ten times as often, from a thread that does nothing
/// else, so that even a busy machine leaves it time for one beat.
const TIMEOUT_S: u64 = 10;

/// The number before `words` in `log`.
fn number_before(log: &str, words: &str) -> usize {
    let line = log.lines().find(|line| line.contains(words)).unwrap_or_else(|| panic!("{log}"));
    let before = line.split(words).next().unwrap();
    before.rsplit([' ', ',']).next().unwrap().parse().unwrap()
}

/// Runs until `lost` has computed an image, sends it `signal`, and expects all others to end and to name
/// it. Then starts all again, to the model that one process makes.
fn lose_and_restart(world_size: usize, lost: usize, signal: Signal) {
    let working_dir = settled();
    let place = Place { timeout_s: Some(TIMEOUT_S), ..Place::of(world_size) };
    let mut ranks = place.start_all(&working_dir);
    wait_for_image(&working_dir, lost, &ranks);
    ranks[lost].signal(signal);
    for rank in (0..world_size).filter(|&rank| rank != lost) {
        let (code, log) = ranks[rank].end();
        assert_eq!(code, Some(69), "{log}");
        let named = format!("rank {lost} (");
        assert!(log.contains(&named) && log.contains("has not been heard of"), "{log}");
        assert!(log.contains("the next start goes on from there"), "{log}");
    }
    assert!(!working_dir.path("TrainedModels/model.pth").exists());
    drop(ranks);

    let num_stored: usize = (0..world_size).map(|rank| num_stored(&working_dir, rank)).sum();
    let num_images = images(&working_dir).len();
    let mut computed = 0;
    let mut ranks = Place::of(world_size).start_all(&working_dir);
    for rank in &mut ranks {
        let (code, log) = rank.end();
        assert_eq!(code, Some(0), "{log}");
        assert_eq!(number_before(&log, " images are stored on some machine"), num_stored);
        assert_eq!(number_before(&log, " to compute, "), num_images - num_stored);
        computed += number_before(&log, " of them by this one");
    }
    assert_eq!(computed, num_images - num_stored, "each image is computed once");
    assert!(model(&working_dir) == expected_model(), "{world_size} processes make another model");
}

fn wait_for_image(working_dir: &WorkingDir, rank: usize, ranks: &[Rank]) {
    for _ in 0..24_000 {
        if num_stored(working_dir, rank) > 0 {
            return;
        }
        thread::sleep(Duration::from_millis(10));
    }
    panic!("no image in {}", ranks[rank].log());
}

#[test]
fn of_two_processes_one_is_killed() {
    lose_and_restart(2, 1, Signal::KILL);
}

#[test]
fn of_four_processes_one_hangs() {
    lose_and_restart(4, 3, Signal::STOP);
}

#[test]
fn the_first_process_is_killed() {
    let working_dir = settled();
    let place = Place { timeout_s: Some(TIMEOUT_S), ..Place::of(2) };
    let mut ranks = place.start_all(&working_dir);
    ranks[1].wait_for("to compute");
    ranks[0].signal(Signal::KILL);
    let (code, log) = ranks[1].end();
    assert_eq!(code, Some(69), "{log}");
    assert!(log.contains("stopped by rank 0 ("), "{log}");
}
