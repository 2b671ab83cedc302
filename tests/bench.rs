//! The benchmark, cut down to the least that measures something.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::time::Duration;

use ec2train::bench::{Plan, Report, append, run};
use ec2train::model::backbone::Engine;

fn report() -> Report {
    #[cfg(feature = "torch")]
    ec2train::libtorch::link();
    let plan = Plan {
        budget: Duration::ZERO,
        min_rounds: 1,
        num_photographs: 2,
        num_rows: 300,
        num_workers: 2,
    };
    let mut stages = Vec::new();
    let report = run(&plan, |stage| stages.push(stage.to_owned())).unwrap();
    assert_eq!(stages, ["decode and transform", "end to end", "backbone", "head"]);
    report
}

#[test]
fn every_stage_and_engine_is_measured_and_written_for_people_and_machines() {
    let report = report();
    let engines = Engine::supported();
    assert_eq!(report.figures.len(), 4 + engines.len());
    for figure in &report.figures {
        let quartiles = figure.quartiles;
        assert!(quartiles.median > 0.0 && quartiles.median.is_finite(), "{figure:?}");
        assert!(quartiles.num_rounds >= 1, "{figure:?}");
    }
    for engine in engines {
        let name = format!("backbone {engine}");
        assert!(report.figures.iter().any(|figure| figure.name == name), "{name}");
    }
    assert!(report.end_to_end_of_backbone > 0.0);
    assert!(report.peak_memory_bytes > 100_000_000, "the weights alone have 94 MB");

    let table = report.table();
    assert!(table.contains(&report.host.cpu_model), "{table}");
    let training = table.lines().find(|line| line.ends_with("<- a training")).unwrap();
    assert!(training.contains(&format!("backbone {}", report.engine)), "{table}");

    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["figures"].as_array().unwrap().len(), report.figures.len());
    assert_eq!(json["figures"][0]["unit"], "images/s");

    // Two benchmarks one under the other, under one line of names.
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bench/bench.csv");
    append(&path, &report).unwrap();
    append(&path, &report).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 1 + 2 * report.figures.len());
    let columns: Vec<&str> = lines[0].split(',').collect();
    let median = columns.iter().position(|column| *column == "median").unwrap();
    // No figure's field holds a comma, but a CPU's name may: it is quoted then.
    if !report.host.cpu_model.contains(',') {
        for (line, figure) in lines[1..].iter().zip(report.figures.iter().cycle()) {
            let fields: Vec<&str> = line.split(',').collect();
            assert_eq!(fields.len(), columns.len(), "{line}");
            assert_eq!(fields[median].parse::<f64>().unwrap(), figure.quartiles.median);
        }
    }

    fs::write(&path, "something else\n").unwrap();
    let error = append(&path, &report).unwrap_err();
    assert_eq!(error.exit_code(), 65);
    assert!(error.to_string().contains("bench.csv"), "{error}");
}
