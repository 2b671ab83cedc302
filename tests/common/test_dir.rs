//! Folders that do not outlive the tests which use them.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::OnceLock;

use tempfile::TempDir;

use super::sorted_entries;

const PREFIX: &str = "ec2train-test-";

/// An empty folder. What a killed test leaves, or a static one, which is never dropped, goes when
/// another process of tests makes its first.
pub fn temp_dir() -> TempDir {
    static SWEPT: OnceLock<()> = OnceLock::new();
    SWEPT.get_or_init(remove_those_of_ended_processes);
    let prefix = format!("{PREFIX}{}-", process::id());
    tempfile::Builder::new().prefix(&prefix).tempdir().unwrap()
}

fn remove_those_of_ended_processes() {
    for path in sorted_entries(&std::env::temp_dir()) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let Some((process, _)) = name.strip_prefix(PREFIX).and_then(|rest| rest.split_once('-'))
        else {
            continue;
        };
        if !Path::new("/proc").join(process).exists() {
            // It may be another user's, or another process removes it too.
            let _ = fs::remove_dir_all(path);
        }
    }
}

/// What `make` writes into an empty folder, made once for all tests of this build of the program,
/// which must not change it.
pub fn once_per_build(name: &str, make: impl FnOnce(&Path)) -> PathBuf {
    let parent = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let program = fs::metadata(env!("CARGO_BIN_EXE_ec2train")).unwrap();
    let prefix = format!("{name}-");
    let file_name = format!("{prefix}{}.{:09}", program.mtime(), program.mtime_nsec());
    let path = parent.join(&file_name);
    if path.exists() {
        return path;
    }
    for entry in sorted_entries(parent) {
        // Those of earlier builds.
        let other = entry.file_name().unwrap().to_string_lossy().into_owned();
        if other.starts_with(&prefix) && !other.starts_with(&file_name) {
            let _ = fs::remove_dir_all(entry);
        }
    }
    let unfinished =
        tempfile::Builder::new().prefix(&format!("{file_name}-")).tempdir_in(parent).unwrap();
    make(unfinished.path());
    // Another process may have been first.
    if fs::rename(unfinished.path(), &path).is_err() {
        assert!(path.exists(), "{}: it could not be named so", path.display());
    }
    path
}
