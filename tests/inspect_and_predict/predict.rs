//! Predictions of files and folders, in every format.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::sync::OnceLock;

use serde_json::Value;

use super::common::{WorkingDir, command, text};

/// A trained model with 4 classes, and 24 images in data/dogImages.
fn trained() -> &'static WorkingDir {
    static TRAINED: OnceLock<WorkingDir> = OnceLock::new();
    TRAINED.get_or_init(|| {
        let working_dir = WorkingDir::with_features();
        let output = working_dir.run(&[]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        working_dir
    })
}

fn predict(arguments: &[&str]) -> Output {
    trained().run(&[&["predict"], arguments].concat())
}

#[track_caller]
fn json(arguments: &[&str], exit_code: i32) -> Vec<Value> {
    let output = predict(&[&["--json"], arguments].concat());
    assert_eq!(output.status.code(), Some(exit_code), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn paths(predictions: &[Value]) -> Vec<&str> {
    predictions.iter().map(|prediction| prediction["path"].as_str().unwrap()).collect()
}

/// The images of train, relative to the working directory, as a training sorts them.
fn train_images() -> Vec<String> {
    let working_dir = trained();
    (0..working_dir.class_names().len())
        .flat_map(|class| working_dir.images("train", class))
        .map(|path| path.strip_prefix(working_dir.path("")).unwrap().to_str().unwrap().to_owned())
        .collect()
}

/// An empty folder in the working directory.
fn folder(name: &str) -> PathBuf {
    let dir = trained().path(name);
    fs::create_dir_all(&dir).unwrap();
    dir
}

#[test]
fn a_folder_is_read_at_every_depth_in_order_and_so_is_a_list() {
    let images = train_images();
    let all = json(&["data/dogImages/train"], 0);
    assert_eq!(paths(&all), images);

    // Reversed, one twice, then a folder.
    let mut wanted: Vec<&str> = images.iter().rev().map(String::as_str).collect();
    wanted.push(&images[3]);
    let arguments: Vec<&str> = wanted.iter().copied().chain(["data/dogImages/test"]).collect();
    let predictions = json(&arguments, 0);
    assert_eq!(paths(&predictions)[..wanted.len()], wanted);
    assert_eq!(predictions.len(), wanted.len() + 4);
    // What is predicted does not depend on the neighbours.
    for prediction in &predictions[..wanted.len()] {
        let same = all.iter().find(|other| other["path"] == prediction["path"]);
        assert_eq!(Some(prediction), same);
    }
}

#[test]
fn one_image_alone_equals_the_same_image_among_others() {
    let all = json(&["data/dogImages/train"], 0);
    let prediction = all[9].clone();
    assert_eq!(json(&[prediction["path"].as_str().unwrap()], 0), [prediction]);
}

#[test]
fn probabilities_are_those_at_the_temperature_of_model_json() {
    let working_dir = WorkingDir::with_features();
    assert!(working_dir.run(&[]).status.success());
    let mut metadata = working_dir.metadata();
    assert!(metadata["temperature"].is_null(), "valid has too few images for one");
    metadata["temperature"] = serde_json::json!(2.0);
    let path = working_dir.path("TrainedModels/model.json");
    fs::write(&path, serde_json::to_vec(&metadata).unwrap()).unwrap();
    let image = working_dir.images("test", 1)[0].clone();
    let output = working_dir.run(&["predict", "--json", image.to_str().unwrap()]);
    let predictions: Value = serde_json::from_slice(&output.stdout).unwrap();
    let logits: Vec<f64> = serde_json::from_value(predictions[0]["logits"].clone()).unwrap();
    let sum: f64 = logits.iter().map(|logit| (logit / 2.0).exp()).sum();
    let top = &predictions[0]["top"][0];
    let expected = (logits[top["idx"].as_u64().unwrap() as usize] / 2.0).exp() / sum;
    assert!((top["probability"].as_f64().unwrap() - expected).abs() < 1e-6, "{top} {expected}");
}

#[test]
fn the_top_classes_are_the_sorted_probabilities_of_the_logits() {
    let class_names = trained().class_names();
    for top_k in [3, 100] {
        for prediction in json(&["--top-k", &top_k.to_string(), "data/dogImages/test"], 0) {
            let logits: Vec<f32> = serde_json::from_value(prediction["logits"].clone()).unwrap();
            let logits: Vec<f64> = logits.into_iter().map(f64::from).collect();
            assert_eq!(logits.len(), class_names.len());
            let sum: f64 = logits.iter().map(|logit| logit.exp()).sum();
            let mut order: Vec<usize> = (0..logits.len()).collect();
            order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]));
            let top = prediction["top"].as_array().unwrap();
            assert_eq!(top.len(), logits.len().min(top_k));
            for (class, idx) in top.iter().zip(order) {
                assert_eq!(class["idx"], idx);
                assert_eq!(class["class_name"], class_names[idx].as_str());
                let probability = class["probability"].as_f64().unwrap();
                assert!((probability - logits[idx].exp() / sum).abs() < 1e-12);
            }
        }
    }
    assert_eq!(predict(&["--top-k", "0", "x.jpg"]).status.code(), Some(64));
    assert_eq!(predict(&["--json", "--csv", "x.jpg"]).status.code(), Some(64));
}

#[test]
fn csv_and_text_say_what_json_says() {
    let dir = folder("a, \"b\"");
    let image = trained().images("test", 1)[0].clone();
    fs::copy(&image, dir.join("line\nbreak.jpg")).unwrap();
    fs::copy(&image, dir.join("1.jpg")).unwrap();
    let expected = json(&["--top-k", "2", "a, \"b\"", "data/dogImages/valid"], 0);

    let output = predict(&["--csv", "--top-k", "2", "a, \"b\"", "data/dogImages/valid"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let mut reader = csv::Reader::from_reader(output.stdout.as_slice());
    assert_eq!(reader.headers().unwrap(), &["path", "rank", "class", "probability"][..]);
    let records: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert_eq!(records.len(), 2 * expected.len());
    for (index, record) in records.iter().enumerate() {
        let prediction = &expected[index / 2];
        let class = &prediction["top"][index % 2];
        assert_eq!(record[0], *prediction["path"].as_str().unwrap());
        assert_eq!(record[1], (index % 2 + 1).to_string());
        assert_eq!(record[2], *class["class_name"].as_str().unwrap());
        // serde_json reads floats to within the last bit.
        let probability = record[3].parse::<f64>().unwrap();
        assert!((probability - class["probability"].as_f64().unwrap()).abs() < 1e-15);
    }

    let output = predict(&["--top-k", "1", "data/dogImages/valid"]);
    let lines = text(&output.stdout);
    let lines: Vec<&str> = lines.lines().collect();
    for (lines, prediction) in lines.chunks(2).zip(&expected[2..]) {
        let class = &prediction["top"][0];
        assert_eq!(lines[0], prediction["path"]);
        let percentage = 100.0 * class["probability"].as_f64().unwrap();
        let name = class["class_name"].as_str().unwrap();
        assert_eq!(lines[1], format!("  {percentage:6.2} %  {name}"));
    }
}

#[test]
fn a_file_that_cannot_be_read_costs_only_itself() {
    let dir = folder("broken");
    for (index, image) in train_images().iter().take(10).enumerate() {
        fs::copy(trained().path(image), dir.join(format!("{index}.jpg"))).unwrap();
    }
    fs::write(dir.join("4b.jpg"), "not an image").unwrap();
    fs::write(dir.join("notes.txt"), "a note").unwrap();
    fs::write(dir.join(".hidden.jpg"), "not an image").unwrap();

    let predictions = json(&["broken"], 65);
    assert_eq!(predictions.len(), 11);
    assert_eq!(predictions[5]["path"], "broken/4b.jpg");
    assert!(predictions[5]["error"].as_str().unwrap().contains("not an image"));
    let num_failed = predictions.iter().filter(|prediction| !prediction["error"].is_null()).count();
    assert_eq!(num_failed, 1);

    let output = predict(&["--csv", "missing.jpg", "broken"]);
    assert_eq!(output.status.code(), Some(65));
    let log = text(&output.stderr);
    assert!(log.contains("missing.jpg") && log.contains("broken/4b.jpg"), "{log}");
    assert_eq!(csv::Reader::from_reader(output.stdout.as_slice()).records().count(), 10 * 4);
    assert_eq!(predict(&["missing.jpg", "broken/0.jpg"]).status.code(), Some(66));
}

#[test]
fn a_folder_without_images_is_an_error() {
    folder("empty/inner");
    let output = predict(&["empty"]);
    assert_eq!(output.status.code(), Some(65));
    assert!(text(&output.stderr).contains("holds no images"), "{}", text(&output.stderr));
}

#[test]
fn paths_come_from_stdin_by_line_or_ended_by_zeros() {
    let images = train_images();
    for end in ["\n", "\0"] {
        let mut child = command(&trained().path(""))
            .args(["predict", "--json", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let list: String = images[..3].iter().map(|image| format!("{image}{end}")).collect();
        child.stdin.take().unwrap().write_all(list.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success());
        let predictions: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(paths(&predictions), images[..3]);
    }
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let mut child = command(&trained().path(""))
        .args(["predict", "data/dogImages", "data/dogImages"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
}

#[test]
fn results_come_while_later_images_are_computed() {
    // Minutes of work, of which the first results come in a second.
    const NUM_IMAGES: usize = 10_000;
    let mut child = command(&trained().path(""))
        .args(["predict", "--csv", "--top-k", "1", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let images = train_images();
    let list: Vec<&str> = images.iter().cycle().take(NUM_IMAGES).map(String::as_str).collect();
    child.stdin.take().unwrap().write_all(list.join("\n").as_bytes()).unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap().trim_end(), "path,rank,class,probability");
    assert!(lines.next().unwrap().unwrap().starts_with(&images[0]));
    child.kill().unwrap();
    assert!(!child.wait().unwrap().success());
    assert!(lines.count() < NUM_IMAGES - 1);
}

#[test]
fn a_symlink_to_its_own_folder_ends() {
    let dir = folder("ring");
    fs::copy(trained().path(&train_images()[0]), dir.join("a.jpg")).unwrap();
    std::os::unix::fs::symlink(".", dir.join("again")).unwrap();
    assert_eq!(paths(&json(&["ring"], 0)), ["ring/a.jpg"]);
}
