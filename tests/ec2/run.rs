//! Whole runs.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use ec2train::config::WATCH_INTERVAL;
use ec2train::digest;

use super::common::{WorkingDir, command, sorted_entries};
use super::process::Run;
use super::service::{INSTANCE_ACTION, REBALANCE, Service};

const ENDPOINT: &str = "AWS_EC2_METADATA_SERVICE_ENDPOINT";

/// Four chunks of images that were there for an hour: of newer ones the program does not trust the times.
fn small_data_set() -> WorkingDir {
    let working_dir = WorkingDir::new();
    let hour_ago = SystemTime::now() - Duration::from_secs(3600);
    for split in ["train", "valid", "test"] {
        for class in &sorted_entries(&working_dir.path("data/dogImages").join(split))[4..] {
            fs::remove_dir_all(class).unwrap();
        }
        for class in sorted_entries(&working_dir.path("data/dogImages").join(split)) {
            for image in sorted_entries(&class) {
                File::options().write(true).open(image).unwrap().set_modified(hour_ago).unwrap();
            }
        }
    }
    working_dir
}

/// The program with one worker, so that the chunks of images come one after the other.
fn one_worker(working_dir: &WorkingDir) -> Command {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let allowed = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    let first = allowed.unwrap().trim().split(['-', ',']).next().unwrap();
    let mut command = Command::new("taskset");
    command
        .args(["--cpu-list", first, env!("CARGO_BIN_EXE_ec2train")])
        .current_dir(working_dir.path("."))
        .env_remove("RUST_LOG");
    command
}

fn model_sha256(working_dir: &WorkingDir) -> String {
    digest::of_file(&working_dir.path("TrainedModels/model.pth")).unwrap().0
}

/// Whether features of an image are on disk.
fn has_features(working_dir: &WorkingDir) -> bool {
    let dir = working_dir.path("TrainedModels/features");
    dir.is_dir()
        && sorted_entries(&dir).iter().any(|path| fs::metadata(path).is_ok_and(|m| m.len() > 8192))
}

#[test]
fn a_spot_notice_ends_the_run_with_75_and_the_next_makes_the_same_model() {
    let working_dir = small_data_set();
    let dir = working_dir.path(".");

    // Undisturbed, where nobody answers: not a word about it.
    let mut undisturbed = command(&dir);
    undisturbed.env(ENDPOINT, "http://127.0.0.1:1");
    let (code, log) = Run::start(undisturbed).end();
    assert_eq!(code, Some(0), "{log}");
    assert!(!log.contains("EC2") && !log.contains("metadata"), "{log}");
    assert!(working_dir.metadata()["host"].get("instance").is_none());
    assert!(working_dir.metadata()["cost"].get("estimate").is_none());
    let expected = model_sha256(&working_dir);
    fs::remove_dir_all(working_dir.path("TrainedModels")).unwrap();

    // A rebalance recommendation all the time, then the notice, in the midst of the images.
    let stub = Service::start();
    stub.answer(REBALANCE, r#"{"noticeTime": "2026-11-25T08:10:00Z"}"#);
    let mut spot = one_worker(&working_dir);
    spot.env(ENDPOINT, &stub.endpoint);
    let mut run = Run::start(spot);
    run.wait_until("features", || has_features(&working_dir));
    let num_asked = stub.num_asked(INSTANCE_ACTION);
    run.look_until(|_| stub.num_asked(INSTANCE_ACTION) > num_asked);
    stub.answer(INSTANCE_ACTION, r#"{"action": "terminate", "time": "2026-11-25T08:22:00Z"}"#);
    run.look_until(|run| run.log().contains("EC2 takes this spot instance back"));
    let (code, log) = run.end();
    assert_eq!(code, Some(75), "{log}");
    assert!(log.contains("t3.medium i-0123456789abcdef0 in us-east-1, spot"), "{log}");
    assert_eq!(log.matches("likely to be taken back soon").count(), 1, "{log}");
    assert!(log.contains("(terminate) at 2026-11-25T08:22:00Z"), "{log}");
    assert!(!working_dir.path("TrainedModels/model.pth").exists());

    // The next instance goes on.
    let stub = Service::start();
    let mut resumed = command(&dir);
    resumed.env(ENDPOINT, &stub.endpoint);
    let (code, log) = Run::start(resumed).end();
    assert_eq!(code, Some(0), "{log}");
    assert!(!log.contains("features of 0 images are stored"), "{log}");
    assert_eq!(model_sha256(&working_dir), expected);

    let metadata = working_dir.metadata();
    assert_eq!(metadata["host"]["instance"]["instance_type"], "t3.medium");
    assert_eq!(metadata["host"]["instance"]["instance_id"], "i-0123456789abcdef0");
    let cost = &metadata["cost"];
    let seconds = cost["total_seconds"].as_f64().unwrap();
    let dollars = cost["estimate"]["instance_usd"].as_f64().unwrap();
    assert!((dollars - seconds / 3600.0 * 0.0416).abs() < 1e-9, "{cost}");
    assert!(cost["cpu"]["busy"].as_f64().unwrap() > 0.0, "{cost}");
    assert!(log.contains("% busy") && log.contains("at $0.0416/h"), "{log}");
}

/// Two CPUs after `seconds`, of which 78 % were stolen. Of one length, so that a reader of the
/// file never finds a part of it.
fn proc_stat(seconds: u64) -> String {
    let (busy, stolen) = (44 * seconds, 156 * seconds);
    format!("cpu  {busy:09} 0 0 0 0 0 0 {stolen:09} 0 0\ncpu0 1\ncpu1 1\n")
}

#[test]
fn a_throttled_machine_is_reported_once_with_the_figure() {
    let working_dir = small_data_set();
    let fake = working_dir.path("stat");
    let file = fs::File::create(&fake).unwrap();
    let write = |seconds| file.write_all_at(proc_stat(seconds).as_bytes(), 0).unwrap();
    write(0);
    // The fake lies over the real one for this process alone.
    let program = one_worker(&working_dir);
    let mut with_fake = Command::new("unshare");
    with_fake
        .args(["--map-root-user", "--mount", "sh", "-c"])
        .arg("mount --bind stat /proc/stat && exec \"$0\" \"$@\"")
        .current_dir(working_dir.path("."))
        .env("AWS_EC2_METADATA_DISABLED", "true");
    let mut probe = Command::new("unshare");
    probe.args(["--map-root-user", "--mount", "mount", "--bind"]).arg(&fake).arg("/proc/stat");
    let allowed = probe.stderr(Stdio::null()).status();
    if !allowed.is_ok_and(|status| status.success()) {
        eprintln!("SKIPPED: this system does not let a process mount a file for itself");
        return;
    }

    with_fake.arg(program.get_program()).args(program.get_args());
    let mut run = Run::start(with_fake);
    run.wait_until("features", || has_features(&working_dir));
    write(60);
    run.look_until(|run| run.log().contains("throttled"));
    write(120);
    let began = Instant::now();
    run.look_until(|_| began.elapsed() > WATCH_INTERVAL + Duration::from_millis(200));
    let (code, log) = run.end();
    assert_eq!(code, Some(0), "{log}");
    assert_eq!(log.matches("the machine is throttled: 78 % of its CPU time").count(), 1, "{log}");
    assert!(log.contains("CPU 22 % busy, 78 % stolen, 0 % waiting for disks"), "{log}");
    let cpu = &working_dir.metadata()["cost"]["cpu"];
    assert!((cpu["steal"].as_f64().unwrap() - 0.78).abs() < 1e-9, "{cpu}");
}
