//! A run of the real binary that can be held and let go.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use ec2train::config::WATCH_INTERVAL;
use rustix::process::{Pid, Signal, kill_process};

pub struct Run {
    child: Child,
    log: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

impl Run {
    pub fn start(mut command: Command) -> Run {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let log = Arc::new(Mutex::new(String::new()));
        let lines = log.clone();
        let reader = thread::spawn(move || {
            for line in stderr.lines() {
                let mut log = lines.lock().unwrap();
                log.push_str(&line.unwrap());
                log.push('\n');
            }
        });
        Run { child, log, reader: Some(reader) }
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    pub fn wait_until(&self, what: &str, condition: impl Fn() -> bool) {
        let started = Instant::now();
        while !condition() {
            assert!(started.elapsed() < Duration::from_secs(180), "no {what}: {}", self.log());
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Stops it where it is for so long that its next look at the machine is overdue, which it
    /// takes as soon as it goes on: so nothing here depends on how fast the machine computes.
    pub fn hold_until_it_looks(&self, meanwhile: impl FnOnce()) {
        self.signal(Signal::STOP);
        meanwhile();
        thread::sleep(WATCH_INTERVAL + Duration::from_millis(100));
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for its end: the exit code and the whole log.
    pub fn end(mut self) -> (Option<i32>, String) {
        let code = self.child.wait().unwrap().code();
        self.reader.take().unwrap().join().unwrap();
        (code, self.log())
    }
}
