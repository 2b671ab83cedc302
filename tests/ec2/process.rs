//! A run of the real binary that can be held and let go.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use ec2train::config::WATCH_INTERVAL;
use rustix::process::{Pid, Signal, kill_process};

/// Enough for a look: a tenth of a chunk of images or so.
const MOMENT: Duration = Duration::from_millis(150);

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

    /// Lets it look at the machine until `condition` holds or it ends, and compute as little as
    /// possible meanwhile: it is stopped until its next look is overdue, and goes on for a moment.
    /// On a busy machine a look may come to nothing, since it waits 100 ms for an answer at most.
    pub fn look_until(&mut self, condition: impl Fn(&Run) -> bool) {
        while !condition(self) {
            self.signal(Signal::STOP);
            thread::sleep(WATCH_INTERVAL + Duration::from_millis(100));
            self.signal(Signal::CONT);
            let went_on = Instant::now();
            while !condition(self) && went_on.elapsed() < MOMENT {
                if self.child.try_wait().unwrap().is_some() {
                    return;
                }
                thread::sleep(Duration::from_millis(2));
            }
        }
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
