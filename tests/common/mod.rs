//! A folder in which the real binary has something to train on.

// Each test file uses a part of it.
#![allow(dead_code)]

pub mod set_on_drop;
mod test_dir;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use tempfile::TempDir;

use test_dir::{once_per_build, temp_dir};

/// Classes of the sample that a test trains on: few, since each image costs a ResNet50.
pub const NUM_CLASSES: usize = 6;

/// `data/sample`, the whole sample.
fn sample() -> &'static Path {
    static SAMPLE: OnceLock<PathBuf> = OnceLock::new();
    SAMPLE.get_or_init(|| {
        let dir = once_per_build("sample", |dir| {
            let output = ec2train(dir, &["sample"]);
            assert!(output.status.success(), "{}", text(&output.stderr));
        });
        dir.join("data/sample")
    })
}

/// A current directory for the program, with the first classes of the sample as data/dogImages and
/// its backbone in data/weights.
pub struct WorkingDir {
    dir: TempDir,
}

impl WorkingDir {
    pub fn new() -> Self {
        WorkingDir::without_weights().add_weights()
    }

    /// Fewer images: three chunks.
    pub fn small() -> Self {
        WorkingDir::with_images(4, 4).add_weights()
    }

    fn add_weights(self) -> Self {
        let weights = self.path("data/weights");
        fs::create_dir_all(&weights).unwrap();
        let file = "resnet50-sample.pth";
        symlink(sample().join("weights").join(file), weights.join(file)).unwrap();
        self
    }

    pub fn without_weights() -> Self {
        WorkingDir::with_images(NUM_CLASSES, usize::MAX)
    }

    fn with_images(num_classes: usize, num_train: usize) -> Self {
        let working_dir = WorkingDir { dir: temp_dir() };
        for split in ["train", "valid", "test"] {
            let from = sample().join("images").join(split);
            for class in sorted_entries(&from).into_iter().take(num_classes) {
                let to =
                    working_dir.path("data/dogImages").join(split).join(class.file_name().unwrap());
                fs::create_dir_all(&to).unwrap();
                for image in sorted_entries(&class).into_iter().take(num_train) {
                    fs::copy(&image, to.join(image.file_name().unwrap())).unwrap();
                }
            }
        }
        working_dir
    }

    /// The same images with all features computed, so that a run takes a second.
    pub fn with_features() -> Self {
        static FEATURES: OnceLock<PathBuf> = OnceLock::new();
        let computed = FEATURES.get_or_init(|| {
            once_per_build("features", |dir| {
                let working_dir = WorkingDir::small();
                let output = working_dir.run(&[]);
                assert!(output.status.success(), "{}", text(&output.stderr));
                copy_files(&working_dir.path("TrainedModels/features"), dir);
            })
        });
        let working_dir = WorkingDir::small();
        let features = working_dir.path("TrainedModels/features");
        fs::create_dir_all(&features).unwrap();
        copy_files(computed, &features);
        working_dir
    }

    pub fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join(relative)
    }

    pub fn run(&self, arguments: &[&str]) -> Output {
        ec2train(self.dir.path(), arguments)
    }

    /// The images of the class with this index, in order.
    pub fn images(&self, split: &str, class: usize) -> Vec<PathBuf> {
        let classes = sorted_entries(&self.path("data/dogImages").join(split));
        sorted_entries(&classes[class])
    }

    pub fn class_names(&self) -> Vec<String> {
        sorted_entries(&self.path("data/dogImages/train"))
            .iter()
            .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
            .collect()
    }

    /// Gives the folders of two classes each other's names in these splits.
    pub fn swap_classes(&self, splits: &[&str]) {
        let names = self.class_names();
        for split in splits {
            let dir = self.path("data/dogImages").join(split);
            let [first, second] = [dir.join(&names[0]), dir.join(&names[1])];
            let aside = self.path("aside");
            fs::rename(&first, &aside).unwrap();
            fs::rename(&second, &first).unwrap();
            fs::rename(&aside, &second).unwrap();
        }
    }

    pub fn metadata(&self) -> serde_json::Value {
        serde_json::from_slice(&fs::read(self.path("TrainedModels/model.json")).unwrap()).unwrap()
    }
}

pub fn ec2train(dir: &Path, arguments: &[&str]) -> Output {
    command(dir).args(arguments).output().unwrap()
}

pub fn command(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ec2train"));
    command.current_dir(dir).env_remove("RUST_LOG").env("NO_COLOR", "1");
    command
}

/// Runs `script` in `dir`, which it may mount file systems in; `None` where that is not allowed.
pub fn in_own_mounts(dir: &Path, script: &str) -> Option<Output> {
    let unshare = |script: &str| {
        Command::new("unshare")
            .args(["--user", "--map-root-user", "--mount", "bash", "-euc", script])
            .current_dir(dir)
            .env("EC2TRAIN", env!("CARGO_BIN_EXE_ec2train"))
            .env("NO_COLOR", "1")
            .output()
    };
    let probe = unshare("mkdir -p probe && mount -t tmpfs tmpfs probe");
    if !probe.is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED: no tmpfs can be mounted by this user");
        return None;
    }
    Some(unshare(script).unwrap())
}

pub fn copy_files(from: &Path, to: &Path) {
    for file in sorted_entries(from) {
        fs::copy(&file, to.join(file.file_name().unwrap())).unwrap();
    }
}

pub fn sorted_entries(dir: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<PathBuf> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    entries
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
