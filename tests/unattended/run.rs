//! A run in the background.

use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::common::{WorkingDir, command};

/// Longer than any run of these tests on a slow machine.
const DEADLINE: Duration = Duration::from_secs(120);

pub struct Run {
    child: Child,
    log: PathBuf,
}

impl Run {
    pub fn start(working_dir: &WorkingDir) -> Self {
        Run::start_with(working_dir, &[])
    }

    pub fn start_with(working_dir: &WorkingDir, arguments: &[&str]) -> Self {
        Run::start_logging_to(working_dir, arguments, &working_dir.path("run.log"))
    }

    pub fn start_logging_to(working_dir: &WorkingDir, arguments: &[&str], log: &Path) -> Self {
        let log = log.to_path_buf();
        let child = command(&working_dir.path(""))
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        Run { child, log }
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        // It may have ended by itself.
        let _ = kill_process(pid, signal);
    }

    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap()).into_owned()
    }

    /// Waits until the log has `words`; `false` when the run ended before.
    pub fn wait_for(&mut self, words: &str) -> bool {
        let start = Instant::now();
        while !self.log().contains(words) {
            if self.has_ended() {
                return self.log().contains(words);
            }
            assert!(start.elapsed() < DEADLINE, "no {words:?} in {}", self.log());
            std::thread::sleep(Duration::from_millis(2));
        }
        true
    }

    pub fn wait(&mut self) -> ExitStatus {
        let start = Instant::now();
        while !self.has_ended() {
            assert!(start.elapsed() < DEADLINE, "it does not end: {}", self.log());
            std::thread::sleep(Duration::from_millis(2));
        }
        self.child.wait().unwrap()
    }
}

/// As a shell tells it.
pub fn code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default())
}
