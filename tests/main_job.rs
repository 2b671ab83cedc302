//! The main job from end to end, with the real binary on a part of the built-in sample.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::process::Command;

use common::{NUM_CLASSES, WorkingDir, command, text};
use ec2train::digest;
use ec2train::model::resnet::tensor_specs;
use ec2train::model::state_dict::StateDict;

#[test]
fn one_command_trains_and_the_other_commands_use_what_it_leaves() {
    let working_dir = WorkingDir::new();
    let output = working_dir.run(&[]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let summary = text(&output.stdout);
    assert!(summary.contains("Saved TrainedModels/model.pth"), "{summary}");
    assert!(text(&output.stderr).contains("6 classes, where the dog breeds have 133"));

    // model.pth is a whole ResNet50: the backbone untouched, a head for these classes.
    let model_path = working_dir.path("TrainedModels/model.pth");
    let model = StateDict::load(&model_path).unwrap();
    model.check(&model_path, &tensor_specs(NUM_CLASSES)).unwrap();
    let backbone = StateDict::load(&working_dir.path("data/weights/resnet50-sample.pth")).unwrap();
    for (name, tensor) in backbone.iter().filter(|(name, _)| !name.starts_with("fc.")) {
        assert_eq!(Some(tensor), model.get(name), "{name} was changed");
    }

    let metadata = working_dir.metadata();
    assert_eq!(metadata["model_sha256"], digest::of_file(&model_path).unwrap().0);
    assert_eq!(metadata["class_names"], serde_json::json!(working_dir.class_names()));
    assert_eq!(metadata["kind"], "real");
    let metrics = &metadata["metrics"];
    assert!(metrics["test"]["top1_accuracy"].as_f64().unwrap() > 0.5, "{metrics}");
    assert!(metrics["train"]["loss"].as_f64().unwrap() < 6f64.ln() / 2.0, "{metrics}");

    let history = fs::read_to_string(working_dir.path("TrainedModels/history.jsonl")).unwrap();
    let epochs: Vec<serde_json::Value> =
        history.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(epochs.len(), metadata["num_epochs"].as_u64().unwrap() as usize);
    let best = metadata["best_epoch"].as_u64().unwrap() as usize;
    let kept = &epochs[best - 1]["valid"]["loss"];
    assert!(epochs.iter().all(|epoch| epoch["valid"]["loss"].as_f64() >= kept.as_f64()));

    // Chosen on valid, or the best epoch's.
    let loss = metrics["valid"]["loss"].as_f64().unwrap();
    assert!(loss <= kept.as_f64().unwrap() + 1e-6, "{loss} {kept}");
    let num_valid = metadata["data"]["num_valid"].as_u64().unwrap();
    assert_eq!(metadata["search"].is_null(), num_valid < 20, "{num_valid}: {metadata}");

    // evaluate finds on disk what the training found.
    let output = working_dir.run(&["evaluate"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let loss = format!("{:.4}", metrics["test"]["loss"].as_f64().unwrap());
    assert!(text(&output.stdout).contains(&loss), "{loss} is not in {}", text(&output.stdout));

    // Ten views of each image are evaluated besides.
    let output = working_dir.run(&["evaluate", "--views"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let found = text(&output.stdout);
    assert!(found.contains(&loss) && found.contains("\nviews "), "{found}");

    // predict knows the images it was trained on, and says which file it cannot read.
    let image = working_dir.images("train", 2)[0].to_str().unwrap().to_owned();
    let output = working_dir.run(&["predict", "--json", &image]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let predictions: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(predictions[0]["top"][0]["class_name"], working_dir.class_names()[2].as_str());
    assert_eq!(predictions[0]["logits"].as_array().unwrap().len(), NUM_CLASSES);
    let output = working_dir.run(&["predict", &image, "missing.jpg"]);
    assert_eq!(output.status.code(), Some(66));
    assert!(text(&output.stdout).contains(&working_dir.class_names()[2]));
    assert!(text(&output.stderr).contains("missing.jpg"));

    let status = text(&working_dir.run(&["status"]).stdout);
    assert!(status.contains("not running") && status.contains("exit 0"), "{status}");
}

#[test]
fn the_model_has_the_same_bytes_on_one_core_as_on_all() {
    let working_dir = WorkingDir::new();
    let model = working_dir.path("TrainedModels/model.pth");
    assert!(working_dir.run(&[]).status.success());
    let all_cores = digest::of_file(&model).unwrap().0;
    fs::remove_dir_all(working_dir.path("TrainedModels")).unwrap();
    let status = Command::new("taskset")
        .args(["--cpu-list", "0", env!("CARGO_BIN_EXE_ec2train")])
        .current_dir(working_dir.path("."))
        .status()
        .unwrap();
    assert!(status.success());
    assert_eq!(working_dir.metadata()["cost"]["num_workers"], 1);
    assert_eq!(digest::of_file(&model).unwrap().0, all_cores);
}

#[test]
fn a_bad_file_is_named_and_nothing_else_suffers() {
    let working_dir = WorkingDir::new();
    // One image is cut off, one is no image, one is a copy of a test image, one is a note.
    let cut = &working_dir.images("train", 0)[0];
    let bytes = fs::read(cut).unwrap();
    fs::write(cut, &bytes[..bytes.len() - 150]).unwrap();
    let broken = &working_dir.images("train", 1)[0];
    fs::write(broken, "not an image").unwrap();
    let leaked = &working_dir.images("train", 3)[0];
    fs::copy(&working_dir.images("test", 3)[0], leaked).unwrap();
    fs::write(cut.with_file_name("notes.txt"), "a note").unwrap();

    let output = working_dir.run(&["train"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let data = &working_dir.metadata()["data"];
    let paths = |list: &str, field: &str| -> Vec<String> {
        let files = data[list].as_array().unwrap();
        files.iter().map(|file| file[field].as_str().unwrap().to_owned()).collect()
    };
    let relative = |path: &std::path::Path| -> String {
        path.strip_prefix(working_dir.path(".")).unwrap().to_str().unwrap().to_owned()
    };
    assert_eq!(
        paths("skipped", "path"),
        [relative(&cut.with_file_name("notes.txt")), relative(broken)]
    );
    assert_eq!(paths("damaged", "path"), [relative(cut)]);
    assert_eq!(paths("leaks", "train"), [relative(leaked)]);
    let log = text(&output.stderr);
    assert!(log.contains("flatter the model"), "{log}");
    assert_eq!(data["num_train"].as_u64(), Some(count(&working_dir, "train") - 2));

    let output = working_dir.run(&["check"]);
    assert_eq!(output.status.code(), Some(65));
    let report = text(&output.stdout);
    for path in [cut, broken, leaked] {
        assert!(report.contains(&relative(path)), "{report}");
    }
}

/// Files in all class folders of a split.
fn count(working_dir: &WorkingDir, split: &str) -> u64 {
    (0..NUM_CLASSES).map(|class| working_dir.images(split, class).len() as u64).sum()
}

#[test]
fn a_class_whose_images_are_all_broken_is_an_error_and_the_old_model_stays() {
    let working_dir = WorkingDir::new();
    fs::create_dir_all(working_dir.path("TrainedModels")).unwrap();
    fs::write(working_dir.path("TrainedModels/model.pth"), "the old model").unwrap();
    for image in working_dir.images("train", 4) {
        fs::write(image, "").unwrap();
    }
    let output = working_dir.run(&[]);
    assert_eq!(output.status.code(), Some(65));
    let error = text(&output.stderr);
    assert!(error.contains(&format!("train/{}", working_dir.class_names()[4])), "{error}");
    assert_eq!(fs::read(working_dir.path("TrainedModels/model.pth")).unwrap(), b"the old model");
    let status = text(&working_dir.run(&["status"]).stdout);
    assert!(status.contains("exit 65 in stage"), "{status}");
}

#[test]
fn missing_inputs_are_named_with_the_remedy_and_the_sample_is_never_used_instead() {
    let empty = tempfile::tempdir().unwrap();
    let output = command(empty.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(66));
    let error = text(&output.stderr);
    assert!(error.contains("data/dogImages") && error.contains("ec2train fetch"), "{error}");

    let working_dir = WorkingDir::without_weights();
    let output = working_dir.run(&[]);
    assert_eq!(output.status.code(), Some(66));
    let error = text(&output.stderr);
    assert!(error.contains("data/weights/resnet50-0676ba61.pth"), "{error}");
    assert!(!working_dir.path("TrainedModels/model.pth").exists());
    assert!(!working_dir.path("data/sample").exists());

    for arguments in [["evaluate"].as_slice(), &["predict", "x.jpg"]] {
        let output = working_dir.run(arguments);
        assert_eq!(output.status.code(), Some(66), "{arguments:?}");
        assert!(text(&output.stderr).contains("TrainedModels/model.json"), "{arguments:?}");
    }
}

#[test]
fn weights_whose_hash_is_not_the_one_in_their_name_are_refused() {
    let working_dir = WorkingDir::new();
    let sample = working_dir.path("data/weights/resnet50-sample.pth");
    fs::rename(sample, working_dir.path("data/weights/resnet50-0676ba61.pth")).unwrap();
    let output = working_dir.run(&[]);
    assert_eq!(output.status.code(), Some(65));
    assert!(text(&output.stderr).contains("SHA-256"), "{}", text(&output.stderr));
}

#[test]
fn a_model_that_is_not_the_one_of_its_metadata_is_refused() {
    let working_dir = WorkingDir::new();
    assert!(working_dir.run(&[]).status.success());
    let backbone = working_dir.path("data/weights/resnet50-sample.pth");
    fs::copy(backbone, working_dir.path("TrainedModels/model.pth")).unwrap();
    let output = working_dir.run(&["evaluate"]);
    assert_eq!(output.status.code(), Some(65));
    assert!(text(&output.stderr).contains("model.json"), "{}", text(&output.stderr));
}

#[test]
fn a_second_start_ends_at_once_while_a_run_holds_the_lock() {
    let working_dir = WorkingDir::new();
    fs::create_dir_all(working_dir.path("TrainedModels")).unwrap();
    let lock = working_dir.path("TrainedModels/.lock");
    fs::write(&lock, "process 1 since 2026-01-01T00:00:00Z\n").unwrap();
    let holder = fs::File::open(&lock).unwrap();
    holder.lock().unwrap();
    let output = working_dir.run(&[]);
    let status = text(&working_dir.run(&["status"]).stdout);
    drop(holder);
    assert_eq!(output.status.code(), Some(75));
    assert!(text(&output.stderr).contains("since 2026-01-01"), "{}", text(&output.stderr));
    assert!(status.starts_with("running: "), "{status}");
}

#[test]
fn a_wrong_command_line_exits_with_64() {
    let dir = tempfile::tempdir().unwrap();
    for arguments in [["--epochs", "3"].as_slice(), &["predict"], &["fly"]] {
        let output = command(dir.path()).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(64), "{arguments:?}");
    }
    assert_eq!(command(dir.path()).arg("--help").output().unwrap().status.code(), Some(0));
}
