//! What stands in an export's way, and what a second one leaves.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::common::{ec2train, in_own_mounts, sorted_entries, text};
use super::files::{EXPORT_DIR, copy_of_model, exported};

fn contents(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    let visible = |path: &&std::path::PathBuf| !name(path).starts_with(".lock");
    let files = sorted_entries(dir);
    files.iter().filter(visible).map(|path| (name(path), fs::read(path).unwrap())).collect()
}

#[test]
fn a_second_export_elsewhere_has_the_same_bytes_and_nothing_unfinished_is_left() {
    let dir = tempfile::tempdir().unwrap();
    copy_of_model(dir.path());
    let folder = dir.path().join(EXPORT_DIR);
    // What a killed export leaves.
    fs::create_dir_all(folder.join(".writing-dir")).unwrap();
    fs::write(folder.join(".writing-file"), "half").unwrap();
    let output = ec2train(dir.path(), &["export"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let first = contents(&exported().path(EXPORT_DIR));
    let second = contents(&folder);
    let names = |files: &[(String, Vec<u8>)]| -> Vec<String> {
        files.iter().map(|(name, _)| name.clone()).collect()
    };
    assert_eq!(names(&second), names(&first));
    for ((name, first), (_, second)) in first.iter().zip(&second) {
        assert!(first == second, "{name} differs");
        assert!(text(&output.stdout).contains(name), "{}", text(&output.stdout));
    }
}

#[test]
fn without_a_model_the_remedy_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let output = ec2train(dir.path(), &["export"]);
    assert_eq!(output.status.code(), Some(66));
    let error = text(&output.stderr);
    assert!(error.contains("TrainedModels/model.json") && error.contains("`ec2train`"), "{error}");
    assert!(!dir.path().join(EXPORT_DIR).exists());
}

#[test]
fn a_model_that_is_not_the_one_of_its_metadata_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    copy_of_model(dir.path());
    let path = dir.path().join("TrainedModels/model.pth");
    let mut bytes = fs::read(&path).unwrap();
    // Within a tensor: only the hash tells.
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    fs::write(&path, bytes).unwrap();
    let output = ec2train(dir.path(), &["export"]);
    assert_eq!(output.status.code(), Some(65));
    assert!(text(&output.stderr).contains("model.json"), "{}", text(&output.stderr));
    assert!(!dir.path().join(EXPORT_DIR).exists());
}

#[test]
fn an_unknown_format_is_a_wrong_command_line() {
    let dir = tempfile::tempdir().unwrap();
    let output = ec2train(dir.path(), &["export", "caffe"]);
    assert_eq!(output.status.code(), Some(64));
    assert!(text(&output.stderr).contains("safetensors"), "{}", text(&output.stderr));
}

#[test]
fn two_exports_at_once_do_not_meet() {
    let dir = tempfile::tempdir().unwrap();
    copy_of_model(dir.path());
    let folder = dir.path().join(EXPORT_DIR);
    fs::create_dir_all(&folder).unwrap();
    let holder = fs::File::create(folder.join(".lock")).unwrap();
    holder.lock().unwrap();
    let output = ec2train(dir.path(), &["export"]);
    assert_eq!(output.status.code(), Some(75));
    assert!(text(&output.stderr).contains("another export"), "{}", text(&output.stderr));
}

#[test]
fn a_full_disk_is_said_and_the_old_file_stays() {
    let dir = tempfile::tempdir().unwrap();
    copy_of_model(dir.path());
    for (format, name) in FORMATS {
        // Room for the old file, but for no second one beside it.
        let script = format!(
            "mkdir -p {EXPORT_DIR}
             mount -t tmpfs -o size=40m tmpfs {EXPORT_DIR}
             echo old > {EXPORT_DIR}/{name}
             code=0
             $EC2TRAIN export {format} || code=$?
             cat {EXPORT_DIR}/{name}
             [[ $(find {EXPORT_DIR} -type f ! -name .lock | wc -l) == 1 ]]
             exit $code"
        );
        let Some(output) = in_own_mounts(dir.path(), &script) else { return };
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(74), "{error}");
        assert!(error.contains("MB needed") && error.contains(EXPORT_DIR), "{error}");
        assert_eq!(text(&output.stdout), "old\n");
    }
}

#[test]
fn a_folder_that_is_read_only_is_named() {
    let dir = tempfile::tempdir().unwrap();
    copy_of_model(dir.path());
    let script = "
        mount --bind TrainedModels TrainedModels
        mount -o remount,bind,ro TrainedModels
        exec $EC2TRAIN export";
    let Some(output) = in_own_mounts(dir.path(), script) else { return };
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(73), "{error}");
    assert!(error.contains(EXPORT_DIR) && error.contains("read-only"), "{error}");
}

#[test]
fn a_folder_of_another_user_is_named() {
    if rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: root may write everywhere");
        return;
    }
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    copy_of_model(dir.path());
    let folder = dir.path().join(EXPORT_DIR);
    fs::create_dir(&folder).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o555)).unwrap();
    let output = ec2train(dir.path(), &["export"]);
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(output.status.code(), Some(77), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains(EXPORT_DIR), "{}", text(&output.stderr));
}

/// As on the command line, with the file each gives.
const FORMATS: &[(&str, &str)] = &[
    ("safetensors", "model.safetensors"),
    ("onnx", "model.onnx"),
    #[cfg(feature = "torch")]
    ("torchscript", "model.pt"),
    #[cfg(feature = "torch")]
    ("sagemaker", "model.tar.gz"),
];

#[test]
fn a_program_that_stands_alone_says_what_it_leaves_out() {
    let dir = tempfile::tempdir().unwrap();
    copy_of_model(dir.path());
    let program = dir.path().join("ec2train");
    fs::copy(env!("CARGO_BIN_EXE_ec2train"), &program).unwrap();
    let ec2train = |arguments: &[&str]| {
        Command::new(&program).args(arguments).current_dir(dir.path()).output().unwrap()
    };
    let output = ec2train(&["export", "torchscript"]);
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(64), "{error}");
    assert!(error.contains("goes on without libtorch: there is no "), "{error}");
    assert!(error.contains("model.pt cannot be written: this program is not linked"), "{error}");
    let output = ec2train(&["export"]);
    let warnings = text(&output.stderr);
    assert!(output.status.success(), "{warnings}");
    assert!(warnings.contains("model.pt is left out"), "{warnings}");
    assert!(warnings.contains("model.tar.gz is left out"), "{warnings}");
    assert!(!dir.path().join(EXPORT_DIR).join("model.pt").exists());
    assert!(dir.path().join(EXPORT_DIR).join("model.onnx").exists());
}
