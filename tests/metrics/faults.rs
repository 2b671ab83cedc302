//! Runs that are interrupted, and places that cannot be written to.

use std::fs;
use std::io::{Read, Write};
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::common::{WorkingDir, command, in_own_mounts, text};
use super::formats::{epochs, events, json_lines};

/// Longer than any run of these tests on a slow machine.
const DEADLINE: Duration = Duration::from_secs(120);

#[test]
fn a_run_can_be_followed_and_after_a_stop_the_metrics_are_whole() {
    let working_dir = WorkingDir::with_features();
    let live = working_dir.path("TrainedModels/runs/live/metrics.jsonl");

    // The fit waits for a reader of its log, since the pipe has room for a few of its epochs only.
    let (mut log, mut stderr) = std::io::pipe().unwrap();
    let num_bytes = rustix::pipe::fcntl_setpipe_size(&stderr, 4096).unwrap();
    let undisturbed = WorkingDir::with_features().run(&[]);
    let lines = text(&undisturbed.stderr);
    let lines: Vec<&str> = lines.split_inclusive('\n').collect();
    let epochs_at: Vec<usize> =
        (0..lines.len()).filter(|&line| lines[line].contains(": train loss")).collect();
    let room: usize = lines[..epochs_at[5]].iter().map(|line| line.len()).sum();
    stderr.write_all(&vec![b'.'; num_bytes - room]).unwrap();
    let mut child =
        command(&working_dir.path("")).stderr(stderr).stdout(Stdio::null()).spawn().unwrap();
    let start = Instant::now();
    while !fs::read_to_string(&live).is_ok_and(|text| text.contains(r#""event":"epoch""#)) {
        assert!(child.try_wait().unwrap().is_none(), "it ended before the pipe was full");
        assert!(start.elapsed() < DEADLINE, "no epoch in {}", live.display());
        thread::sleep(Duration::from_millis(2));
    }
    let status = text(&working_dir.run(&["status"]).stdout);
    assert!(status.contains("metrics: TrainedModels/runs/live/metrics.jsonl"), "{status}");
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    let mut said = String::new();
    log.read_to_string(&mut said).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(143), "{said}");

    let stopped = json_lines(&live);
    let num_before = epochs(&stopped).len();
    let [end] = events(&stopped, "end")[..] else { panic!("{stopped:?}") };
    assert_eq!(end["exit_code"], 143);
    assert!(end["error"].as_str().unwrap().contains("SIGTERM"), "{end}");

    // As if the process had been killed within a line.
    let shared = working_dir.path("TrainedModels/log/metrics.emf.jsonl");
    let mut cut = fs::read_to_string(&shared).unwrap();
    let num_lines = cut.lines().count();
    cut.truncate(cut.len() - 10);
    fs::write(&shared, &cut).unwrap();

    // Not there if the process had to be ended, on a machine so busy that it did not notice the signal.
    let has_checkpoint = working_dir.path("TrainedModels/fit.checkpoint").exists();
    let output = working_dir.run(&[]);
    let said = text(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert_eq!(said.contains("the fit goes on after epoch"), has_checkpoint, "{said}");
    let lines = json_lines(&working_dir.path("TrainedModels/metrics.jsonl"));
    let history = json_lines(&working_dir.path("TrainedModels/history.jsonl"));
    assert_eq!(epochs(&lines), history);
    assert!(num_before > 0 && history.len() > num_before, "{num_before} of {}", history.len());
    assert!(!live.exists());

    let all = fs::read_to_string(&shared).unwrap();
    let broken: Vec<usize> = all
        .lines()
        .enumerate()
        .filter(|(_, line)| serde_json::from_str::<serde_json::Value>(line).is_err())
        .map(|(index, _)| index)
        .collect();
    assert_eq!(broken, [num_lines - 1]);
    // One epoch more or less: that of the moment when the run was stopped.
    assert!(all.lines().filter(|line| line.contains("TrainLoss")).count() >= history.len() - 1);
}

/// Model and log of a run in which something is wrong with the places of the metrics.
fn assert_unharmed(working_dir: &WorkingDir, said: &str, place: &str) {
    assert_eq!(said.matches("metrics of this run will be missing").count(), 1, "{said}");
    let warning = said.lines().find(|line| line.contains("metrics of this run")).unwrap();
    assert!(warning.contains(place), "{warning}");
    // What needs no place of its own is there.
    let lines = json_lines(&working_dir.path("TrainedModels/metrics.jsonl"));
    assert_eq!(epochs(&lines), json_lines(&working_dir.path("TrainedModels/history.jsonl")));
}

#[test]
fn places_that_cannot_be_written_to_cost_a_warning_and_nothing_else() {
    let reference = WorkingDir::with_features();
    let output = reference.run(&[]);
    let said = text(&output.stderr);
    assert!(output.status.success() && !said.contains("will be missing"), "{said}");
    let model = |dir: &WorkingDir| fs::read(dir.path("TrainedModels/model.pth")).unwrap();

    let working_dir = WorkingDir::with_features();
    fs::create_dir_all(working_dir.path("TrainedModels/runs")).unwrap();
    fs::write(working_dir.path("TrainedModels/runs/live"), "in the way").unwrap();
    fs::write(working_dir.path("TrainedModels/log"), "in the way").unwrap();
    let output = working_dir.run(&[]);
    let said = text(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert_unharmed(&working_dir, &said, "TrainedModels/runs/live");
    assert!(model(&working_dir) == model(&reference));
}

#[test]
fn a_full_disk_for_metrics_costs_a_warning_and_nothing_else() {
    let working_dir = WorkingDir::with_features();
    fs::create_dir_all(working_dir.path("TrainedModels/runs/live")).unwrap();
    fs::create_dir_all(working_dir.path("TrainedModels/log")).unwrap();
    let script = "
        mount -t tmpfs -o size=8k tmpfs TrainedModels/runs/live
        mount -t tmpfs -o size=4k tmpfs TrainedModels/log
        $EC2TRAIN
        cp TrainedModels/log/metrics.emf.jsonl shared.jsonl";
    let Some(output) = in_own_mounts(&working_dir.path(""), script) else { return };
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert_unharmed(&working_dir, &said, "No space left on device");
    // No part of a line.
    assert!(!json_lines(&working_dir.path("shared.jsonl")).is_empty());
}
