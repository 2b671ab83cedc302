//! The processes of a run.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use rustix::process::{Pid, Signal, kill_process};

use super::common::{WorkingDir, command, sorted_entries};

/// Longer than any run of these tests on a slow machine.
const DEADLINE: Duration = Duration::from_secs(240);

/// A process of a run; it does not outlive the test.
pub struct Rank {
    child: Child,
    log: PathBuf,
}

/// Where the processes of a run meet.
pub struct Place {
    pub port: u16,
    pub world_size: usize,
    /// `None` leaves it as it is.
    pub timeout_s: Option<u64>,
}

impl Place {
    pub fn of(world_size: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Place { port: listener.local_addr().unwrap().port(), world_size, timeout_s: None }
    }

    /// Starts one rank in `dir`.
    pub fn start(&self, dir: &Path, rank: usize) -> Rank {
        self.start_with(dir, rank, &[])
    }

    pub fn start_with(&self, dir: &Path, rank: usize, variables: &[(&str, &str)]) -> Rank {
        let log = dir.join(format!("rank-{rank}.log"));
        let mut command = command(dir);
        command
            .env("RANK", rank.to_string())
            .env("WORLD_SIZE", self.world_size.to_string())
            .env("MASTER_ADDR", "localhost")
            .env("MASTER_PORT", self.port.to_string())
            .envs(variables.iter().copied())
            .stdout(Stdio::null())
            .stderr(File::create(&log).unwrap());
        if let Some(seconds) = self.timeout_s {
            command.env("EC2TRAIN_HEARTBEAT_TIMEOUT_S", seconds.to_string());
        }
        Rank { child: command.spawn().unwrap(), log }
    }

    /// Starts all ranks in one folder.
    pub fn start_all(&self, working_dir: &WorkingDir) -> Vec<Rank> {
        (0..self.world_size).map(|rank| self.start(&working_dir.path(""), rank)).collect()
    }
}

impl Rank {
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap()).into_owned()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    pub fn wait_for(&mut self, words: &str) {
        let started = Instant::now();
        while !self.log().contains(words) {
            let ended = self.child.try_wait().unwrap();
            assert!(
                ended.is_none() || self.log().contains(words),
                "no {words:?} in {}",
                self.log()
            );
            assert!(started.elapsed() < DEADLINE, "no {words:?} in {}", self.log());
            thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// The exit code, and the whole log.
    pub fn end(&mut self) -> (Option<i32>, String) {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return (status.code(), self.log());
            }
            assert!(started.elapsed() < DEADLINE, "it does not end: {}", self.log());
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Rank {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A folder of few images that were there for an hour: of newer ones the program does not trust the times.
pub fn settled() -> WorkingDir {
    let working_dir = WorkingDir::small();
    let hour_ago = SystemTime::now() - Duration::from_secs(3600);
    for image in images(&working_dir) {
        File::options().write(true).open(image).unwrap().set_modified(hour_ago).unwrap();
    }
    working_dir
}

/// All image files.
pub fn images(working_dir: &WorkingDir) -> Vec<PathBuf> {
    let splits = sorted_entries(&working_dir.path("data/dogImages"));
    let classes = splits.iter().flat_map(|split| sorted_entries(split));
    classes.flat_map(|class| sorted_entries(&class)).collect()
}

/// The folder of what a rank keeps.
pub fn folder(working_dir: &WorkingDir, rank: usize) -> PathBuf {
    let root = working_dir.path("TrainedModels");
    if rank == 0 { root } else { root.join(format!("rank-{rank}")) }
}

/// Images that a rank knows by their files.
pub fn num_stored(working_dir: &WorkingDir, rank: usize) -> usize {
    let index = folder(working_dir, rank).join("features/files.jsonl");
    fs::read(index).map_or(0, |bytes| bytes.iter().filter(|&&byte| byte == b'\n').count())
}

pub fn model(working_dir: &WorkingDir) -> Vec<u8> {
    fs::read(working_dir.path("TrainedModels/model.pth")).unwrap()
}

/// What one process makes of the images of [`settled`].
pub fn expected_model() -> Vec<u8> {
    let alone = WorkingDir::with_features();
    assert!(alone.run(&[]).status.success());
    model(&alone)
}
