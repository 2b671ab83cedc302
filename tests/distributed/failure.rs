//! Processes that fail by themselves and tell the others why.

use std::fs;

use rustix::process::Signal;

use super::common::WorkingDir;
use super::ranks::{Place, images, settled};

#[test]
fn who_is_stopped_tells_the_others_so_and_all_end() {
    let working_dir = settled();
    let mut ranks = Place::of(2).start_all(&working_dir);
    for rank in &mut ranks {
        rank.wait_for("to compute");
    }
    ranks[1].signal(Signal::TERM);
    let (code, log) = ranks[1].end();
    // It may have been done a moment before.
    if code == Some(0) {
        return;
    }
    assert_eq!(code, Some(143), "{log}");
    let (code, log) = ranks[0].end();
    assert_eq!(code, Some(69), "{log}");
    assert!(log.contains("rank 1 (") && log.contains("was stopped by SIGTERM"), "{log}");
}

#[test]
fn a_rank_without_its_weights_ends_the_run_with_its_reason() {
    let [first, second] = [WorkingDir::small(), WorkingDir::small()];
    fs::remove_dir_all(second.path("data/weights")).unwrap();
    let place = Place::of(2);
    let mut ranks = [place.start(&first.path(""), 0), place.start(&second.path(""), 1)];
    let (code, log) = ranks[1].end();
    assert_eq!(code, Some(66), "{log}");
    let (code, log) = ranks[0].end();
    assert_eq!(code, Some(69), "{log}");
    let reason = "which failed: pretrained weights not found: data/weights/resnet50-0676ba61.pth";
    assert!(log.contains("rank 1 (") && log.contains(reason), "{log}");
}

#[test]
fn different_images_are_named_by_every_rank() {
    let [first, second] = [WorkingDir::small(), WorkingDir::small()];
    let image = images(&second).pop().unwrap();
    fs::remove_file(&image).unwrap();
    let place = Place::of(2);
    let mut ranks = [place.start(&first.path(""), 0), place.start(&second.path(""), 1)];
    let name = image.file_name().unwrap().to_str().unwrap();
    for rank in &mut ranks {
        let (code, log) = rank.end();
        assert_eq!(code, Some(65), "{log}");
        assert!(
            log.contains("rank 1 (") && log.contains(&format!("{name} is only there")),
            "{log}"
        );
    }
}

#[test]
fn the_fastest_engine_of_the_weakest_machine_is_used_by_all() {
    let [first, second] = [WorkingDir::small(), WorkingDir::small()];
    let place = Place::of(2);
    let mut strong = place.start(&first.path(""), 0);
    let mut weak = place.start_with(&second.path(""), 1, &[("ONEDNN_MAX_CPU_ISA", "AVX")]);
    strong.wait_for("to compute");
    weak.wait_for("to compute");
    let log = strong.log();
    assert!(log.contains("rank 0 (") && log.contains("which not every machine has"), "{log}");
}
