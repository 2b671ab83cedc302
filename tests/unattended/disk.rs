//! Disks without room, or that must not be written to.

use std::fs;

use super::common::{WorkingDir, in_own_mounts, text};

#[test]
fn a_disk_that_is_too_small_is_said_before_the_work_and_the_old_model_stays() {
    let working_dir = WorkingDir::with_features();
    assert!(working_dir.run(&[]).status.success());
    let script = "
        mkdir small
        mount -t tmpfs -o size=110m tmpfs small
        cp -a TrainedModels/. small/
        mount --bind small TrainedModels
        before=$(cat TrainedModels/model.{pth,json} | sha256sum)
        rm -r TrainedModels/features
        code=0
        $EC2TRAIN || code=$?
        $EC2TRAIN status
        $EC2TRAIN evaluate
        [[ $before == $(cat TrainedModels/model.{pth,json} | sha256sum) ]]
        exit $code";
    let Some(output) = in_own_mounts(&working_dir.path(""), script) else { return };
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(74), "{error}");
    assert!(error.contains("MB needed, ") && error.contains("MB free"), "{error}");
    assert!(text(&output.stdout).contains("exit 74"), "{}", text(&output.stdout));
    // Nothing was computed in vain.
    assert!(!error.contains("epoch"), "{error}");
}

#[test]
fn a_disk_that_fills_up_meanwhile_ends_the_run_with_what_is_needed() {
    let working_dir = WorkingDir::small();
    // Filled up to the last page as soon as the run has begun, which waits meanwhile: it may end in less time.
    let script = "
        mkdir -p TrainedModels
        mount -t tmpfs -o size=120m tmpfs TrainedModels
        $EC2TRAIN & run=$!
        until grep -Eqs '\"stage\":\"(features|epochs|L2|saving)' TrainedModels/status.json; do sleep 0.01; done
        kill -STOP $run
        cat /dev/zero > TrainedModels/filler 2> /dev/null || true
        kill -CONT $run
        code=0
        wait $run || code=$?
        rm TrainedModels/filler
        $EC2TRAIN > /dev/null 2>&1 && [[ -s TrainedModels/model.pth ]] && touch recovered
        exit $code";
    let Some(output) = in_own_mounts(&working_dir.path(""), script) else { return };
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(74), "{error}");
    assert!(error.contains("MB needed"), "{error}");
    assert!(fs::exists(working_dir.path("recovered")).unwrap(), "with room it trains again");
}

#[test]
fn a_few_megabytes_are_too_few() {
    let working_dir = WorkingDir::with_features();
    let script = "
        mount -t tmpfs -o size=4m tmpfs TrainedModels
        exec $EC2TRAIN";
    let Some(output) = in_own_mounts(&working_dir.path(""), script) else { return };
    assert_eq!(output.status.code(), Some(74), "{}", text(&output.stderr));
}

#[test]
fn a_folder_that_is_read_only_is_named() {
    let working_dir = WorkingDir::with_features();
    let script = "
        mount --bind TrainedModels TrainedModels
        mount -o remount,bind,ro TrainedModels
        exec $EC2TRAIN";
    let Some(output) = in_own_mounts(&working_dir.path(""), script) else { return };
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(73), "{error}");
    assert!(error.contains("TrainedModels") && error.contains("read-only"), "{error}");
}

#[test]
fn a_folder_of_another_user_is_named() {
    if rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: root may write everywhere");
        return;
    }
    use std::os::unix::fs::PermissionsExt;
    let working_dir = WorkingDir::with_features();
    let models = working_dir.path("TrainedModels");
    fs::set_permissions(&models, fs::Permissions::from_mode(0o555)).unwrap();
    let output = working_dir.run(&[]);
    fs::set_permissions(&models, fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(output.status.code(), Some(77), "{}", text(&output.stderr));
}
