//! Folders that are full, or that must not be written to.

use super::common::{in_own_mounts, text};
use super::container::Container;

/// Runs `script`, in which `$SAGEMAKER` is the program and `ml` the folder of the job.
fn in_mounts(container: &Container, script: &str) -> Option<std::process::Output> {
    let program = env!("CARGO_BIN_EXE_sagemaker");
    let mut script = format!("SAGEMAKER='{program}'\n{script}");
    for (name, value) in &container.variables {
        script = format!("export {name}='{}'\n{script}", value.display());
    }
    let script = format!("export SAGEMAKER_BASE_DIR=\"$PWD/ml\"\n{script}");
    in_own_mounts(&container.working_dir.path(""), &script)
}

#[test]
fn channels_are_read_only_and_a_model_folder_may_be_on_another_disk() {
    let container = Container::with_features();
    let script = "
        mkdir ml/model
        mount --bind \"$SM_CHANNEL_TRAINING\" \"$SM_CHANNEL_TRAINING\"
        mount -o remount,bind,ro \"$SM_CHANNEL_TRAINING\"
        mount --bind ml/input ml/input
        mount -o remount,bind,ro ml/input
        mount -t tmpfs tmpfs ml/model
        $SAGEMAKER train
        ls ml/model";
    let Some(output) = in_mounts(&container, script) else { return };
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout), "model.json\nmodel.pth\n");
}

#[test]
fn checkpoints_that_cannot_be_written_cost_a_warning() {
    let container = Container::with_features();
    let script = "
        mount --bind ml/checkpoints ml/checkpoints
        mount -o remount,bind,ro ml/checkpoints
        exec $SAGEMAKER train";
    let Some(output) = in_mounts(&container, script) else { return };
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("begins anew"), "{}", text(&output.stderr));
    assert!(container.path("model/model.pth").exists());
}

#[test]
fn a_disk_that_is_too_small_for_the_model_is_said_before_the_work() {
    let container = Container::with_features();
    let script = "
        mkdir ml/model
        mount -t tmpfs -o size=50m tmpfs ml/model
        exec $SAGEMAKER train";
    let Some(output) = in_mounts(&container, script) else { return };
    let log = text(&output.stderr);
    assert_eq!(output.status.code(), Some(74), "{log}");
    let failure = container.failure().unwrap();
    assert!(failure.contains("MB needed, ") && failure.contains("ml/model"), "{failure}");
    assert!(!log.contains("epoch"), "{log}");
}

#[test]
fn a_full_disk_leaves_the_exit_code_where_no_reason_can_be_written() {
    let container = Container::with_features();
    let script = "
        mkdir -p ml/output
        mount -t tmpfs -o size=4k tmpfs ml/output
        head -c 4096 /dev/zero > ml/output/filler || true
        code=0
        $SAGEMAKER train --epochs none || code=$?
        (( code == 64 ))
        $SAGEMAKER train
        [[ -s ml/model/model.pth ]]";
    let Some(output) = in_mounts(&container, script) else { return };
    let log = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{log}");
    assert!(log.contains("SageMaker will not learn the reason"), "{log}");
    assert!(log.contains("report or metrics are missing"), "{log}");
}

#[test]
fn a_model_folder_that_is_read_only_is_named() {
    let container = Container::with_features();
    let script = "
        mkdir ml/model
        mount --bind ml/model ml/model
        mount -o remount,bind,ro ml/model
        exec $SAGEMAKER train";
    let Some(output) = in_mounts(&container, script) else { return };
    assert_eq!(output.status.code(), Some(73), "{}", text(&output.stderr));
    let failure = container.failure().unwrap();
    assert!(failure.contains("ml/model") && failure.contains("read-only"), "{failure}");
}
