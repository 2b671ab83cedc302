//! Starts that cannot be.

use std::thread;
use std::time::Duration;

use super::common::{WorkingDir, command, text};
use super::ranks::{Place, Rank};

#[test]
fn half_of_the_variables_is_a_usage_error() {
    let dir = tempfile::tempdir().unwrap();
    let output = command(dir.path()).env("RANK", "1").env("WORLD_SIZE", "2").output().unwrap();
    assert_eq!(output.status.code(), Some(64));
    let error = text(&output.stderr);
    assert!(
        error.contains("RANK, WORLD_SIZE are set, but not MASTER_ADDR, MASTER_PORT"),
        "{error}"
    );
    let output = command(dir.path()).env("SM_CURRENT_HOST", "algo-1").output().unwrap();
    assert_eq!(output.status.code(), Some(64));
}

#[test]
fn a_rank_that_is_taken_is_refused() {
    let [first, second] = [WorkingDir::small(), WorkingDir::small()];
    let place = Place::of(3);
    let _first = place.start(&first.path(""), 0);
    let twice = [place.start(&first.path(""), 1), place.start(&second.path(""), 1)];
    let (code, log) = first_to_end(twice);
    assert_eq!(code, Some(69), "{log}");
    assert!(log.contains("rank 1 is already taken, by process"), "{log}");
}

/// Nobody says which of the two came first.
fn first_to_end(mut ranks: [Rank; 2]) -> (Option<i32>, String) {
    loop {
        if let Some(rank) = ranks.iter_mut().find_map(|rank| rank.has_ended().then_some(rank)) {
            return rank.end();
        }
        thread::sleep(Duration::from_millis(5));
    }
}
