//! What SageMaker is told of a job that fails.

use std::fs;

use super::common::text;
use super::container::{Container, finished};

/// Has the job fail, and finds all of `words` in what SageMaker shows.
#[track_caller]
fn fails(container: &Container, arguments: &[&str], code: i32, words: &[&str]) {
    let output = container
        .command(&["train"])
        .args(arguments)
        // Nothing is downloaded by a test.
        .env("HTTPS_PROXY", "http://127.0.0.1:9")
        .env_remove("NO_PROXY")
        .env_remove("no_proxy")
        .output()
        .unwrap();
    let log = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{log}");
    let failure = container.failure().unwrap_or_default();
    for words in words {
        assert!(failure.contains(words), "no {words:?} in {failure:?}");
    }
    assert!(!container.path("model/model.pth").exists());
}

/// The name of the class with this index.
fn class_name(container: &Container, class: usize) -> String {
    let image = container.images("train", class).swap_remove(0);
    image.parent().unwrap().file_name().unwrap().to_str().unwrap().to_owned()
}

#[test]
fn bad_hyperparameters_are_named_with_their_place_and_the_remedy() {
    let container = Container::new();
    let known = "Known are: epochs, batch-size, learning-rate (or lr)";
    fails(&container, &["--epoch", "5"], 64, &["epoch (arguments) is not known", known]);
    fails(&container, &["--momentum", "0.9"], 64, &["momentum", "Leave it out", "layer4-momentum"]);
    fails(&container, &["--model-dir", "/tmp"], 64, &["model-dir", "SM_MODEL_DIR"]);
    fails(&container, &["--epochs", "-3"], 64, &["epochs (arguments) is \"-3\"", "1 to 10000"]);
    fails(&container, &["--epochs"], 64, &["hyperparameter epochs (arguments)", "value"]);
    fails(&container, &["--lr", "NaN"], 64, &["lr (arguments) is \"NaN\"", "above 0"]);
    let twice = ["--lr", "1", "--learning-rate", "2"];
    fails(&container, &twice, 64, &["is given as", "Leave one of them out"]);
    fails(&container, &["5"], 64, &["arguments", "is not known"]);
    for (json, words) in [
        (r#"{"epochs": "\"many\""}"#, ["epochs (", "is \"many\""]),
        (r#"{"batch_size": "0"}"#, ["batch-size (", "whole number from 1"]),
        (r#"{"train-from": "layer3"}"#, ["train-from (", "head"]),
        (r#"{"dropout": "0.5"}"#, ["dropout (", known]),
    ] {
        container.write_config("hyperparameters.json", json);
        fails(&container, &[], 64, &[words[0], words[1], "input/config/hyperparameters.json"]);
    }
    container.write_config("hyperparameters.json", "epochs: 5");
    fails(&container, &[], 65, &["hyperparameters.json: cannot be understood"]);
}

#[test]
fn missing_and_unfit_inputs_are_named() {
    let container = Container::new();
    container.write_config(
        "resourceconfig.json",
        r#"{"current_host": "algo-9", "hosts": ["algo-1", "algo-2"]}"#,
    );
    fails(&container, &[], 65, &["resourceconfig.json", "algo-9"]);
    fs::remove_file(container.path("input/config/resourceconfig.json")).unwrap();

    let pipe = r#"{"training": {"TrainingInputMode": "Pipe"}}"#;
    container.write_config("inputdataconfig.json", pipe);
    fails(&container, &[], 65, &["inputdataconfig.json", "training", "FastFile"]);
    fs::remove_file(container.path("input/config/inputdataconfig.json")).unwrap();

    let training = container.path("input/data/training");
    fs::rename(training.join("test"), training.join("tests")).unwrap();
    fails(&container, &[], 65, &["input/data/training/test: the folder is missing", "Expected"]);

    fs::rename(&training, container.path("input/data/dogs")).unwrap();
    let found = "Channels of this job: dogs, weights.";
    fails(&container, &[], 66, &["input/data/training", "one channel `training`", found]);
    fs::rename(container.path("input/data/dogs"), &training).unwrap();

    fs::rename(container.path("input/data/weights"), container.path("aside")).unwrap();
    fails(&container, &[], 69, &["https://download.pytorch.org/", "resnet50-0676ba61.pth"]);
}

#[test]
fn a_class_without_one_image_that_can_be_read_is_named() {
    let container = Container::new();
    let images = container.images("train", 2);
    images.iter().for_each(|image| fs::write(image, "not an image").unwrap());
    let class = class_name(&container, 2);
    let reason = format!("no image can be decoded of: {class}");
    fails(&container, &[], 65, &["input/data/training/train", &reason, "Replace the images"]);
    // What can be had of a run that failed.
    assert!(container.path("output/data/metrics.jsonl").exists());

    // One image that cannot be read is listed, and the rest is trained. The reason of the run before
    // is gone.
    for image in &images[1..] {
        fs::copy(&container.images("train", 1)[0], image).unwrap();
    }
    container.train_well(&[]);
    let skipped = container.metadata()["data"]["skipped"].clone();
    assert_eq!(skipped[0]["path"].as_str(), images[0].to_str());
    assert_eq!(skipped.as_array().unwrap().len(), 1);
}

#[test]
fn a_loss_that_never_leaves_chance_fails_the_job() {
    let container = Container::with_features();
    fails(&container, &["--lr", "1e-12"], 65, &["never left chance", "learning rate"]);
}

#[test]
fn a_model_of_before_stays_when_a_job_fails() {
    let container = Container::with_features();
    container.train_well(&[]);
    let output = container.train(&["--lr", "1e-12"]);
    assert_eq!(output.status.code(), Some(65), "{}", text(&output.stderr));
    assert!(container.model() == finished().model());
}

#[test]
fn what_is_no_command_is_told_the_usage() {
    let container = Container::new();
    for arguments in [&[][..], &["tarin"], &["--epochs", "5"]] {
        let output = container.command(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(64));
        assert!(text(&output.stderr).contains("Usage: sagemaker"), "{}", text(&output.stderr));
    }
    let output = container.command(&["train", "--help"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stdout).contains("--learning-rate"), "{}", text(&output.stdout));
}
