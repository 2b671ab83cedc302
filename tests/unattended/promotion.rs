//! Which model stands.

use std::fs;

use super::common::{WorkingDir, sorted_entries, text};

fn train(working_dir: &WorkingDir) -> String {
    let output = working_dir.run(&[]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    text(&output.stdout) + &text(&output.stderr)
}

fn model(working_dir: &WorkingDir) -> Vec<u8> {
    fs::read(working_dir.path("TrainedModels/model.pth")).unwrap()
}

/// Puts the train images of two classes into each other's folders: labels that are wrong.
fn mix_up(working_dir: &WorkingDir) {
    working_dir.swap_classes(&["train"]);
}

#[test]
fn a_worse_model_is_kept_beside_the_standing_one_and_a_good_one_takes_its_place() {
    let working_dir = WorkingDir::with_features();
    train(&working_dir);
    let standing = model(&working_dir);
    assert_eq!(working_dir.metadata()["promoted"], true);

    mix_up(&working_dir);
    let said = train(&working_dir);
    assert!(said.contains("that one stays and the new one is kept beside it"), "{said}");
    assert!(said.contains("TrainedModels/model.pth is unchanged"), "{said}");
    assert!(model(&working_dir) == standing);
    let runs = sorted_entries(&working_dir.path("TrainedModels/runs"));
    let metadata = fs::read(runs[1].join("model.json")).unwrap();
    let metadata: serde_json::Value = serde_json::from_slice(&metadata).unwrap();
    assert_eq!(metadata["promoted"], false);
    assert!(fs::read(runs[1].join("model.pth")).unwrap() != standing);
    let status = text(&working_dir.run(&["status"]).stdout);
    assert!(status.contains("exit 0") && status.contains("is kept beside it"), "{status}");
    let status = text(&working_dir.run(&["status", "--json"]).stdout);
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    assert_eq!(status["run"]["end"]["model"]["promoted"], false);
    assert_eq!(status["run"]["end"]["exit_code"], 0);
    assert_eq!(status["model"]["metrics"]["test"]["top1_accuracy"], 1.0);

    // Other test images cannot be compared; a damaged model stands in nobody's way.
    let test_image = &working_dir.images("test", 3)[0];
    let bytes = fs::read(test_image).unwrap();
    fs::copy(&working_dir.images("valid", 3)[0], test_image).unwrap();
    train(&working_dir);
    assert!(model(&working_dir) != standing);
    fs::write(test_image, bytes).unwrap();
    mix_up(&working_dir);
    train(&working_dir);
    assert!(model(&working_dir) == standing);
    fs::write(working_dir.path("TrainedModels/model.pth"), "damaged").unwrap();
    mix_up(&working_dir);
    let said = train(&working_dir);
    assert!(said.contains("the model of before cannot be used"), "{said}");
    assert!(model(&working_dir) != standing);
}

#[test]
fn the_plain_files_of_an_older_version_are_kept_as_a_run_of_their_own() {
    let working_dir = WorkingDir::with_features();
    train(&working_dir);
    let models = working_dir.path("TrainedModels");
    let old = model(&working_dir);
    for name in ["model.pth", "model.json", "history.jsonl"] {
        let bytes = fs::read(models.join(name)).unwrap();
        fs::remove_file(models.join(name)).unwrap();
        fs::write(models.join(name), bytes).unwrap();
    }
    let mut metadata: serde_json::Value =
        serde_json::from_slice(&fs::read(models.join("model.json")).unwrap()).unwrap();
    metadata.as_object_mut().unwrap().remove("inputs").unwrap();
    fs::write(models.join("model.json"), metadata.to_string()).unwrap();
    fs::remove_file(models.join("current")).unwrap();
    fs::remove_dir_all(models.join("runs")).unwrap();
    assert!(working_dir.run(&["evaluate"]).status.success());

    let said = train(&working_dir);
    assert!(said.contains("the model of before is kept there"), "{said}");
    let runs = sorted_entries(&models.join("runs"));
    assert_eq!(runs.len(), 2);
    assert!(fs::read(runs[0].join("model.pth")).unwrap() == old);
    assert_eq!(
        fs::canonicalize(models.join("current")).unwrap(),
        fs::canonicalize(&runs[1]).unwrap()
    );
    assert!(model(&working_dir) == old);
    assert!(working_dir.run(&["evaluate"]).status.success());
}

#[test]
fn a_run_that_would_make_the_same_model_again_leaves_it_as_it_is() {
    let working_dir = WorkingDir::with_features();
    let num_runs = || sorted_entries(&working_dir.path("TrainedModels/runs")).len();
    assert!(train(&working_dir).contains("Saved TrainedModels/model.pth"));
    let metadata = working_dir.metadata();
    let said = train(&working_dir);
    assert!(said.contains("TrainedModels/model.pth is up to date"), "{said}");
    assert_eq!(working_dir.metadata(), metadata);
    assert_eq!(num_runs(), 1);
    let status = text(&working_dir.run(&["status"]).stdout);
    assert!(status.contains("exit 0"), "{status}");

    // Whatever is new makes a new one: a file that only model.json speaks of, a name, an image.
    let broken = working_dir.images("train", 0)[0].with_file_name("broken.jpg");
    fs::write(&broken, "no image").unwrap();
    assert!(train(&working_dir).contains("Saved TrainedModels/model.pth"));
    let skipped = &working_dir.metadata()["data"]["skipped"];
    assert!(skipped[0]["path"].as_str().unwrap().ends_with("/broken.jpg"), "{skipped}");
    fs::remove_file(&working_dir.images("train", 1)[0]).unwrap();
    assert!(train(&working_dir).contains("Saved TrainedModels/model.pth"));
    assert!(train(&working_dir).contains("is up to date"));
    assert_eq!(num_runs(), 3);

    // A model that is no longer whole does not stand.
    fs::write(working_dir.path("TrainedModels/model.pth"), "damaged").unwrap();
    assert!(train(&working_dir).contains("Saved TrainedModels/model.pth"));
    assert!(train(&working_dir).contains("is up to date"));
}
