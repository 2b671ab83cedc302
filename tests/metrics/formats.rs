//! The files of a finished training.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use regex::Regex;
use serde_json::Value;

use super::common::{WorkingDir, sorted_entries, text};
use super::event_file::{self, Point};

pub fn json_lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

pub fn events<'a>(lines: &'a [Value], name: &str) -> Vec<&'a Value> {
    lines.iter().filter(|line| line["event"] == name).collect()
}

/// The epochs of metrics.jsonl, as history.jsonl has them.
pub fn epochs(lines: &[Value]) -> Vec<Value> {
    let mut epochs: Vec<Value> = events(lines, "epoch").into_iter().cloned().collect();
    for epoch in &mut epochs {
        let fields = epoch.as_object_mut().unwrap();
        fields.retain(|name, _| !["time", "seconds", "event"].contains(&name.as_str()));
    }
    epochs
}

#[test]
fn metrics_agree_with_the_model_in_every_format() {
    let working_dir = WorkingDir::small();
    let output = working_dir.run(&[]);
    let log = text(&output.stderr);
    assert!(output.status.success(), "{log}");
    let models = working_dir.path("TrainedModels");
    let metadata = working_dir.metadata();

    // Where model.pth and model.json lead to; nothing is left of what was there during the run.
    let lines = json_lines(&models.join("metrics.jsonl"));
    let run_dir = fs::canonicalize(models.join("current")).unwrap();
    assert_eq!(
        fs::canonicalize(models.join("metrics.jsonl")).unwrap(),
        run_dir.join("metrics.jsonl")
    );
    assert_eq!(
        sorted_entries(&models.join("runs")),
        [models.join("runs").join(run_dir.file_name().unwrap())]
    );

    assert_lines(&lines, &json_lines(&models.join("history.jsonl")), &metadata);
    let points = points_of(&lines);
    let file = sorted_entries(&run_dir)
        .into_iter()
        .find(|path| {
            path.file_name().unwrap().to_str().unwrap().starts_with("events.out.tfevents.")
        })
        .unwrap();
    assert_points(&event_file::read(&fs::read(file).unwrap()), &points);

    let emf = fs::read_to_string(run_dir.join("metrics.emf.jsonl")).unwrap();
    assert_emf(&json_lines(&run_dir.join("metrics.emf.jsonl")), &lines);
    // The log of all runs has the same lines: only the end has a time of its own.
    let shared = fs::read_to_string(models.join("log/metrics.emf.jsonl")).unwrap();
    let without_end = |text: &str| text.trim_end().rsplit_once('\n').unwrap().0.to_owned();
    assert_eq!(without_end(&emf), without_end(&shared));

    assert_log(&log, &metadata["metrics"]["test"]);
}

/// metrics.jsonl itself.
fn assert_lines(lines: &[Value], history: &[Value], metadata: &Value) {
    assert_eq!(lines[0]["event"], "start");
    assert_eq!(lines[0]["program"], metadata["program"]);
    let end = lines.last().unwrap();
    assert_eq!(
        (&end["event"], &end["exit_code"], &end["promoted"]),
        (&"end".into(), &0.into(), &true.into())
    );
    for pair in lines.windows(2) {
        assert!(pair[0]["seconds"].as_f64() <= pair[1]["seconds"].as_f64(), "{pair:?}");
        pair[0]["time"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    }
    assert_eq!(epochs(lines), history);
    let [result] = events(lines, "result")[..] else { panic!("{lines:?}") };
    assert_eq!(result["best_epoch"], metadata["best_epoch"]);
    for split in ["train", "valid", "test"] {
        assert_eq!(result[split], metadata["metrics"][split]);
    }
    let stages: Vec<&str> =
        events(lines, "stage").iter().map(|line| line["stage"].as_str().unwrap()).collect();
    let expected =
        ["starting", "reading the folders", "features", "epochs", "L2 penalty", "saving"];
    assert_eq!(stages, expected);

    let machine = events(lines, "machine");
    for sample in &machine {
        let parts = ["busy", "steal", "iowait"].map(|name| sample[name].as_f64().unwrap());
        assert!(parts.iter().all(|part| (0.0..=1.0).contains(part)), "{sample}");
        assert!(parts.iter().sum::<f64>() < 1.0 + 1e-9, "{sample}");
        assert!(sample["resident_bytes"].as_u64().unwrap() > 1 << 20, "{sample}");
    }
    let rates: Vec<f64> =
        machine.iter().filter_map(|sample| sample["images_per_second"].as_f64()).collect();
    assert!(!rates.is_empty() && rates.iter().all(|&rate| rate > 0.0), "{machine:?}");
}

/// What TensorBoard is to show of these lines.
fn points_of(lines: &[Value]) -> Vec<Point> {
    let mut points = Vec::new();
    for line in lines {
        let milliseconds = (1e3 * line["seconds"].as_f64().unwrap()).round() as i64;
        let mut add = |tag: String, step: i64, value: &Value| {
            points.extend(value.as_f64().map(|value| Point { tag, step, value: value as f32 }));
        };
        let measures = ["loss", "top1_accuracy", "top5_accuracy"];
        match line["event"].as_str().unwrap() {
            "epoch" => {
                let step = line["epoch"].as_i64().unwrap();
                add("learning_rate".into(), step, &line["learning_rate"]);
                for split in ["train", "valid"] {
                    for measure in measures {
                        add(format!("{measure}/{split}"), step, &line[split][measure]);
                    }
                }
            }
            "result" => {
                for measure in measures {
                    let step = line["best_epoch"].as_i64().unwrap();
                    add(format!("{measure}/test"), step, &line["test"][measure]);
                }
            }
            "machine" => {
                for (tag, field) in [
                    ("machine/cpu_busy", "busy"),
                    ("machine/cpu_steal", "steal"),
                    ("machine/cpu_iowait", "iowait"),
                    ("machine/resident_bytes", "resident_bytes"),
                    ("features/images_per_second", "images_per_second"),
                ] {
                    add(tag.into(), milliseconds, &line[field]);
                }
            }
            _ => {}
        }
    }
    points
}

/// Equal, but for how a decimal number is rounded when it is read.
fn assert_points(actual: &[Point], expected: &[Point]) {
    assert_eq!(actual.len(), expected.len());
    for (actual, expected) in actual.iter().zip(expected) {
        assert_eq!((&actual.tag, actual.step), (&expected.tag, expected.step));
        let error = (actual.value - expected.value).abs();
        assert!(error <= 1e-6 * expected.value.abs(), "{actual:?} and {expected:?}");
    }
}

/// CloudWatch's lines: each metric is there as a number of the document's root, and all agree with
/// metrics.jsonl.
fn assert_emf(emf: &[Value], lines: &[Value]) {
    let mut values: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for line in emf {
        let directive = &line["_aws"]["CloudWatchMetrics"][0];
        assert_eq!(directive["Namespace"], "ec2train");
        assert_eq!(directive["Dimensions"], serde_json::json!([["Kind"]]));
        assert_eq!(line["Kind"], "real");
        assert!(line["_aws"]["Timestamp"].as_u64().unwrap() > 1_500_000_000_000);
        for metric in directive["Metrics"].as_array().unwrap() {
            let name = metric["Name"].as_str().unwrap();
            values.entry(name).or_default().push(line[name].as_f64().unwrap());
        }
    }
    let of = |event: &str, path: &str, factor: f64| -> Vec<f64> {
        events(lines, event)
            .iter()
            .filter_map(|line| line.pointer(path).and_then(Value::as_f64))
            .map(|value| factor * value)
            .collect()
    };
    for (name, event, path, factor) in [
        ("TrainLoss", "epoch", "/train/loss", 1.0),
        ("ValidTop1Accuracy", "epoch", "/valid/top1_accuracy", 100.0),
        ("LearningRate", "epoch", "/learning_rate", 1.0),
        ("TestTop5Accuracy", "result", "/test/top5_accuracy", 100.0),
        ("CpuSteal", "machine", "/steal", 100.0),
        ("ResidentMemory", "machine", "/resident_bytes", 1.0),
        ("ImagesPerSecond", "machine", "/images_per_second", 1.0),
        ("RunSeconds", "end", "/seconds", 1.0),
    ] {
        let expected = of(event, path, factor);
        assert_eq!(values[name].len(), expected.len(), "{name}");
        for (&value, expected) in values[name].iter().zip(expected) {
            assert!(
                (value - expected).abs() <= 1e-9 * expected.abs(),
                "{name}: {value}, {expected}"
            );
        }
    }
    assert_eq!(values["RunSucceeded"], [1.0]);
}

/// The regular expressions of the original's SageMaker metric definitions, each found once.
fn assert_log(log: &str, test: &Value) {
    for (pattern, expected) in [
        (r"Testing Loss: ([0-9\.]+)", &test["loss"]),
        (r"Testing Accuracy: ([0-9\.]+)", &test["top1_accuracy"]),
    ] {
        let found: Vec<f64> = Regex::new(pattern)
            .unwrap()
            .captures_iter(log)
            .map(|captures| captures[1].parse().unwrap())
            .collect();
        let [value] = found[..] else { panic!("{pattern}: {found:?} in {log}") };
        assert!((value - expected.as_f64().unwrap()).abs() < 1e-6, "{value} and {expected}");
    }
}
