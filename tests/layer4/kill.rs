//! A training of layer4 in a process of its own, which is killed and stopped.

use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use ec2train::config::TrainFrom;
use ec2train::pipeline::train;
use ec2train::run::signals;
use rustix::process::{Pid, Signal, kill_process};

use crate::common::{WorkingDir, sorted_entries};
use crate::job;

/// Tells the child of this test in which folder to train.
const CHILD_DIR: &str = "EC2TRAIN_TEST_LAYER4_DIR";
/// Longer than any run of this test on a slow machine.
const DEADLINE: Duration = Duration::from_secs(240);

#[test]
#[ignore = "the child of another test"]
fn train_layer4() {
    let Some(dir) = std::env::var_os(CHILD_DIR) else { return };
    env_logger::builder().filter_level(log::LevelFilter::Info).init();
    signals::install().unwrap();
    let result = train(&job(Path::new(&dir), TrainFrom::Layer4, 4));
    // The harness would make another code of it.
    std::process::exit(result.map_or_else(|error| i32::from(error.exit_code()), |_| 0));
}

struct Run {
    child: Child,
    log: PathBuf,
}

impl Run {
    fn start(working_dir: &WorkingDir) -> Self {
        let log = working_dir.path("run.log");
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["kill::train_layer4", "--exact", "--ignored", "--nocapture"])
            .env(CHILD_DIR, working_dir.path(""))
            .stdout(Stdio::null())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        Run { child, log }
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    fn wait_until(&mut self, is_so: impl Fn(&Self) -> bool) {
        let start = Instant::now();
        while !is_so(self) {
            assert!(self.child.try_wait().unwrap().is_none(), "it ended before: {}", self.log());
            assert!(start.elapsed() < DEADLINE, "{}", self.log());
            thread::sleep(Duration::from_millis(2));
        }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn wait(mut self) -> ExitStatus {
        let start = Instant::now();
        while self.child.try_wait().unwrap().is_none() {
            assert!(start.elapsed() < DEADLINE, "{}", self.log());
            thread::sleep(Duration::from_millis(2));
        }
        self.child.wait().unwrap()
    }
}

#[test]
fn killed_and_stopped_it_ends_with_the_same_bytes() {
    let undisturbed = WorkingDir::small();
    assert!(Run::start(&undisturbed).wait().success());
    let disturbed = WorkingDir::small();
    let checkpoint = disturbed.path("TrainedModels/layer4.checkpoint");
    let mut run = Run::start(&disturbed);
    run.wait_until(|_| checkpoint.exists());
    run.signal(Signal::KILL);
    assert_eq!(run.wait().signal(), Some(9));

    let mut run = Run::start(&disturbed);
    run.wait_until(|run| run.log().contains("fine-tuning goes on after epoch"));
    thread::sleep(Duration::from_millis(200));
    run.signal(Signal::TERM);
    assert_eq!(run.wait().code(), Some(143));
    assert!(checkpoint.exists());

    assert!(Run::start(&disturbed).wait().success());
    assert!(!checkpoint.exists());
    let model = |dir: &WorkingDir| fs::read(dir.path("TrainedModels/model.pth")).unwrap();
    assert!(model(&disturbed) == model(&undisturbed));
    for entry in sorted_entries(&disturbed.path("TrainedModels")) {
        let name = entry.file_name().unwrap().to_string_lossy().into_owned();
        assert!(!name.starts_with(".writing"), "{name}");
    }
}
