//! A folder laid out as /opt/ml, and the program in it.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::common::{WorkingDir, sorted_entries, text};

/// Longer than any run of these tests on a slow machine.
const DEADLINE: Duration = Duration::from_secs(120);

/// What the program must not take from the machine that tests it.
const FOREIGN: [&str; 8] = [
    "RUST_LOG",
    "SM_CHANNEL_TRAINING",
    "SM_CURRENT_HOST",
    "SM_HOSTS",
    "SM_HPS",
    "SM_MODEL_DIR",
    "SM_OUTPUT_DATA_DIR",
    "TRAINING_JOB_NAME",
];

pub struct Container {
    pub working_dir: WorkingDir,
}

impl Container {
    /// The images in the channel `training`, weights in a channel of their own, nothing else.
    pub fn new() -> Self {
        Container::around(WorkingDir::small())
    }

    /// The same with checkpoints that have all features, so that a run takes a second.
    pub fn with_features() -> Self {
        let container = Container::around(WorkingDir::with_features());
        container.create_dir("checkpoints");
        let features = container.working_dir.path("TrainedModels/features");
        fs::rename(features, container.path("checkpoints/features")).unwrap();
        container
    }

    fn around(working_dir: WorkingDir) -> Self {
        let container = Container { working_dir };
        container.create_dir("input/config");
        container.create_dir("input/data");
        let images = container.working_dir.path("data/dogImages");
        fs::rename(images, container.path("input/data/training")).unwrap();
        let weights = container.working_dir.path("data/weights");
        fs::rename(weights, container.path("input/data/weights")).unwrap();
        container
    }

    /// Below what would be /opt/ml.
    pub fn path(&self, relative: &str) -> PathBuf {
        self.working_dir.path("ml").join(relative)
    }

    pub fn create_dir(&self, relative: &str) {
        fs::create_dir_all(self.path(relative)).unwrap();
    }

    pub fn write_config(&self, name: &str, content: &str) {
        fs::write(self.path("input/config").join(name), content).unwrap();
    }

    /// The images of the class with this index of a split of the channel `training`.
    pub fn images(&self, split: &str, class: usize) -> Vec<PathBuf> {
        let classes = sorted_entries(&self.path("input/data/training").join(split));
        sorted_entries(&classes[class])
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sagemaker"));
        FOREIGN.iter().for_each(|name| drop(command.env_remove(name)));
        command
            .current_dir(self.working_dir.path(""))
            .env("SAGEMAKER_BASE_DIR", self.path(""))
            .env("NO_COLOR", "1")
            .args(arguments);
        command
    }

    pub fn train(&self, arguments: &[&str]) -> Output {
        self.command(&["train"]).args(arguments).output().unwrap()
    }

    pub fn train_well(&self, arguments: &[&str]) -> Output {
        let output = self.train(arguments);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        assert_eq!(self.failure(), None);
        output
    }

    /// What SageMaker shows of the failure file.
    pub fn failure(&self) -> Option<String> {
        let written = fs::read_to_string(self.path("output/failure")).ok()?;
        Some(written.chars().take(1024).collect())
    }

    pub fn model(&self) -> Vec<u8> {
        fs::read(self.path("model/model.pth")).unwrap()
    }

    pub fn metadata(&self) -> Value {
        serde_json::from_slice(&fs::read(self.path("model/model.json")).unwrap()).unwrap()
    }

    pub fn start(&self, arguments: &[&str]) -> Process {
        self.start_with(arguments, &[])
    }

    pub fn start_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Process {
        let log = self.working_dir.path("run.log");
        let child = self
            .command(arguments)
            .envs(variables.iter().copied())
            .stdout(Stdio::null())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        Process { child, log }
    }
}

/// The program at work.
pub struct Process {
    pub child: Child,
    log: PathBuf,
}

impl Process {
    pub fn log(&self) -> String {
        text(&fs::read(&self.log).unwrap())
    }

    /// The rest of the first line of the log that has `words`; `None` when the process ends without.
    pub fn wait_for(&mut self, words: &str) -> Option<String> {
        let start = Instant::now();
        loop {
            let has_ended = self.child.try_wait().unwrap().is_some();
            let log = self.log();
            if let Some((_, rest)) = log.split_once(words) {
                return Some(rest.lines().next().unwrap_or_default().to_owned());
            }
            if has_ended {
                return None;
            }
            assert!(start.elapsed() < DEADLINE, "no {words:?} in {log}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The names in a folder, sorted.
pub fn names(dir: &Path) -> Vec<String> {
    let name = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
    sorted_entries(dir).iter().map(name).collect()
}

/// Makes `to` lead to `from`.
pub fn link(from: &Path, to: &Path) {
    symlink(from, to).unwrap();
}
