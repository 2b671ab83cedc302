//! What a job reads and leaves.

use std::fs;

use ec2train::artifact;
use regex::Regex;

use super::common::{WorkingDir, text};
use super::container::{Container, link, names};

#[test]
fn a_job_leaves_the_model_that_ec2train_makes_and_what_sagemaker_takes_up() {
    let on_ec2 = WorkingDir::with_features();
    assert!(on_ec2.run(&[]).status.success());

    let container = Container::with_features();
    let mut command = container.command(&["train"]);
    let output = command.env("TRAINING_JOB_NAME", "dogs-2026-11-25").output().unwrap();
    let log = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{log}");
    assert!(container.model() == fs::read(on_ec2.path("TrainedModels/model.pth")).unwrap());
    assert!(log.contains("dogs-2026-11-25"), "{log}");

    // All of it becomes model.tar.gz.
    assert_eq!(names(&container.path("model")), ["model.json", "model.pth"]);
    let model = artifact::load(&container.path("model")).unwrap();
    assert_eq!(model.metadata.class_names, on_ec2.class_names());
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
    let one = Container::with_features();
    one.train_well(&[]);

    let three = Container::with_features();
    let whole = three.path("input/data/training");
    for (split, channel) in [("train", "train"), ("valid", "validation"), ("test", "test")] {
        fs::rename(whole.join(split), three.path("input/data").join(channel)).unwrap();
    }
    fs::remove_dir(whole).unwrap();
    three.train_well(&[]);
    assert!(three.model() == one.model());
    let fingerprint = |it: &Container| it.metadata()["data"]["fingerprint"].clone();
    assert_eq!(fingerprint(&three), fingerprint(&one));
}

#[test]
fn the_folders_that_the_toolkit_names_come_first() {
    let container = Container::with_features();
    let elsewhere = container.working_dir.path("elsewhere");
    fs::rename(container.path("input/data/training"), &elsewhere).unwrap();
    let output = container
        .command(&["train"])
        .env("SM_CHANNEL_TRAINING", &elsewhere)
        .env("SM_MODEL_DIR", container.path("other/model"))
        .env("SM_OUTPUT_DATA_DIR", container.path("other/data"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(names(&container.path("other/model")), ["model.json", "model.pth"]);
    assert!(container.path("other/data/report.html").exists());
    assert!(!container.path("model").exists());
}

#[test]
fn without_a_channel_the_weights_of_the_image_are_used() {
    let container = Container::with_features();
    fs::create_dir_all(container.working_dir.path("data")).unwrap();
    let weights = container.path("input/data/weights");
    let beside = container.working_dir.path("data/weights");
    fs::rename(weights, &beside).unwrap();
    container.train_well(&[]);

    // A channel with something else in it is no reason to take others.
    container.create_dir("input/data/weights");
    link(&beside.join("resnet50-sample.pth"), &container.path("input/data/weights/other.pth"));
    let output = container.train(&[]);
    assert_eq!(output.status.code(), Some(66), "{}", text(&output.stderr));
    assert!(container.failure().unwrap().contains("The channel `weights` has to hold"));
}

#[test]
fn images_that_cannot_be_read_are_listed_and_the_rest_is_trained() {
    let container = Container::with_features();
    let spoilt = container.images("train", 1)[0].clone();
    fs::write(&spoilt, "not an image").unwrap();
    container.train_well(&[]);
    let skipped = container.metadata()["data"]["skipped"].clone();
    assert_eq!(skipped[0]["path"].as_str(), spoilt.to_str());
    assert_eq!(skipped.as_array().unwrap().len(), 1);
}
