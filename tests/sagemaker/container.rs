//! A folder laid out as /opt/ml, and the program in it.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;

use super::common::{WorkingDir, copy_files, sorted_entries, text};

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
    /// What the toolkit would tell the program besides.
    pub variables: Vec<(&'static str, PathBuf)>,
}

impl Container {
    /// The images in the channel `training`, weights in a channel of their own, nothing else.
    pub fn new() -> Self {
        let container = Container { working_dir: WorkingDir::small(), variables: Vec::new() };
        container.create_dir("input/config");
        container.create_dir("input/data");
        let training = container.path("input/data/training");
        fs::rename(container.working_dir.path("data/dogImages"), &training).unwrap();
        let weights = container.working_dir.path("data/weights");
        fs::rename(weights, container.path("input/data/weights")).unwrap();
        container
    }

    /// With all features in its checkpoints, so that a run takes a second. The channels are those of
    /// [`finished`], which must not be changed.
    pub fn with_features() -> Self {
        let mut container = Container::new();
        fs::remove_dir_all(container.path("input/data")).unwrap();
        let channel = |name| finished().path("input/data").join(name);
        container.variables = vec![
            ("SM_CHANNEL_TRAINING", channel("training")),
            ("SM_CHANNEL_WEIGHTS", channel("weights")),
        ];
        container.create_dir("checkpoints/features");
        copy_files(
            &finished().path("checkpoints/features"),
            &container.path("checkpoints/features"),
        );
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
        for name in FOREIGN {
            command.env_remove(name);
        }
        command
            .envs(self.variables.iter().cloned())
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

/// A job that ended well.
pub fn finished() -> &'static Container {
    static FINISHED: OnceLock<Container> = OnceLock::new();
    FINISHED.get_or_init(|| {
        let container = Container::new();
        // The program looks again at what was changed a moment before.
        let long_ago = SystemTime::now() - Duration::from_secs(3600);
        for split in ["train", "valid", "test"] {
            for class in sorted_entries(&container.path("input/data/training").join(split)) {
                for image in sorted_entries(&class) {
                    File::options()
                        .write(true)
                        .open(image)
                        .unwrap()
                        .set_modified(long_ago)
                        .unwrap();
                }
            }
        }
        container.create_dir("checkpoints");
        container.train_well(&[]);
        container
    })
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
