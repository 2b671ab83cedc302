//! Processes that die or hang, and what comes of the run afterwards.

use rustix::process::Signal;

use super::common::WorkingDir;
use super::ranks::{Place, expected_model, images, model, num_stored, settled};

/// Until a silent process counts as lost. It beats ten times as often, from a thread that does nothing
/// else, so that even a busy machine leaves it time for one beat.
const TIMEOUT_S: u64 = 10;
/// Runs of which one is not done before the test gets to its signal, however busy the machine is.
const ATTEMPTS: usize = 5;

/// The number before `words` in `log`.
fn number_before(log: &str, words: &str) -> usize {
    let line = log.lines().find(|line| line.contains(words)).unwrap_or_else(|| panic!("{log}"));
    let before = line.split(words).next().unwrap();
    before.rsplit([' ', ',']).next().unwrap().parse().unwrap()
}

/// Runs until `lost` computes, sends it `signal`, and expects all others to end and to name it. Then starts
/// all again, to the model that one process makes.
fn lose_and_restart(world_size: usize, lost: usize, signal: Signal) {
    let working_dir = (0..ATTEMPTS).find_map(|_| lose(world_size, lost, signal));
    let working_dir = working_dir.expect("a run that is not done before the signal comes");

    let num_stored: usize = (0..world_size).map(|rank| num_stored(&working_dir, rank)).sum();
    assert!(num_stored > 0, "who was not lost has computed its share");
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

/// The folder as it is afterwards; `None` when the run was done before `signal` came.
fn lose(world_size: usize, lost: usize, signal: Signal) -> Option<WorkingDir> {
    let working_dir = settled();
    let place = Place { timeout_s: Some(TIMEOUT_S), ..Place::of(world_size) };
    let mut ranks = place.start_all(&working_dir);
    ranks[lost].wait_for("to compute");
    ranks[lost].signal(signal);
    for rank in (0..world_size).filter(|&rank| rank != lost) {
        let (code, log) = ranks[rank].end();
        if code == Some(0) {
            return None;
        }
        assert_eq!(code, Some(69), "{log}");
        let named = format!("rank {lost} (");
        assert!(log.contains(&named) && log.contains("has not been heard of"), "{log}");
        assert!(log.contains("the next start goes on from there"), "{log}");
    }
    assert!(!working_dir.path("TrainedModels/model.pth").exists());
    Some(working_dir)
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
    // It may have been done a moment before.
    if code != Some(0) {
        assert_eq!(code, Some(69), "{log}");
        assert!(log.contains("stopped by rank 0 ("), "{log}");
    }
}
