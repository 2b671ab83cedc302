//! What a job reads and leaves.

use std::fs;

use ec2train::artifact;
use regex::Regex;

use super::common::{WorkingDir, text};
use super::container::{Container, finished, link, names};

#[test]
fn a_job_makes_the_model_that_ec2train_makes() {
    let on_ec2 = WorkingDir::small();
    assert!(on_ec2.run(&[]).status.success());
    assert!(finished().model() == fs::read(on_ec2.path("TrainedModels/model.pth")).unwrap());
    let model = artifact::load(&finished().path("model")).unwrap();
    assert_eq!(model.metadata.class_names, on_ec2.class_names());
    let fingerprint = on_ec2.metadata()["data"]["fingerprint"].clone();
    assert_eq!(fingerprint, model.metadata.data.fingerprint);
}

#[test]
fn a_job_leaves_what_sagemaker_takes_up() {
    let container = Container::with_features();
    let output = container.command(&["train"]).env("TRAINING_JOB_NAME", "dogs-1").output().unwrap();
    let log = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{log}");
    assert!(log.contains("training job dogs-1"), "{log}");
    assert!(log.contains("features of 24 images are stored, 0 to compute"), "{log}");
    // All of it becomes model.tar.gz.
    assert_eq!(names(&container.path("model")), ["model.json", "model.pth"]);
    assert_eq!(container.failure(), None);
    let outputs = names(&container.path("output/data"));
    for name in ["history.jsonl", "metrics.jsonl", "report.html"] {
        assert!(outputs.iter().any(|output| output == name), "{outputs:?}");
    }
    // The original's metric definitions, each of which finds one value.
    for pattern in [r"Testing Loss: ([0-9\.]+)", r"Testing Accuracy: ([0-9\.]+)"] {
        let values: Vec<f64> = Regex::new(pattern)
            .unwrap()
            .captures_iter(&log)
            .map(|found| found[1].parse().unwrap())
            .collect();
        assert_eq!(values.len(), 1, "{pattern} in {log}");
        assert!(values[0].is_finite());
    }
}

#[test]
fn three_channels_give_the_same_model_as_one() {
    let mut container = Container::with_features();
    let (_, whole) = container.variables.remove(0);
    container.variables.extend([
        ("SM_CHANNEL_TRAIN", whole.join("train")),
        ("SM_CHANNEL_VALIDATION", whole.join("valid")),
        ("SM_CHANNEL_TEST", whole.join("test")),
    ]);
    container.train_well(&[]);
    assert!(container.model() == finished().model());
    let fingerprint = |it: &Container| it.metadata()["data"]["fingerprint"].clone();
    assert_eq!(fingerprint(&container), fingerprint(finished()));
}

#[test]
fn the_folders_that_the_toolkit_names_come_first() {
    let mut container = Container::with_features();
    let [model, data] = ["other/model", "other/data"].map(|name| container.path(name));
    container.variables.push(("SM_MODEL_DIR", model.clone()));
    container.variables.push(("SM_OUTPUT_DATA_DIR", data.clone()));
    container.train_well(&[]);
    assert_eq!(names(&model), ["model.json", "model.pth"]);
    assert!(data.join("report.html").exists());
    assert!(!container.path("model").exists());
}

#[test]
fn without_a_channel_the_weights_of_the_image_are_used() {
    let mut container = Container::with_features();
    let (_, weights) = container.variables.pop().unwrap();
    fs::create_dir_all(container.working_dir.path("data")).unwrap();
    link(&weights, &container.working_dir.path("data/weights"));
    container.train_well(&[]);

    // A channel with something else in it is no reason to take others.
    container.create_dir("input/data/weights");
    link(&weights.join("resnet50-sample.pth"), &container.path("input/data/weights/other.pth"));
    let output = container.train(&[]);
    assert_eq!(output.status.code(), Some(66), "{}", text(&output.stderr));
    assert!(container.failure().unwrap().contains("The channel `weights` has to hold"));
}
