//! Every planted fault is found, and nothing else.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Output;

use serde_json::Value;

use super::common::{WorkingDir, text};
use super::faults::{PLANTS, Planted, plant_all};
use super::pictures::{jpeg, picture};

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Kind and paths of every finding, relative to the data set.
fn found(report: &Value) -> BTreeSet<(String, Vec<String>)> {
    let findings = report["findings"].as_array().unwrap();
    findings
        .iter()
        .map(|finding| {
            let paths = finding["paths"].as_array().unwrap();
            let relative = |path: &Value| {
                path.as_str().unwrap().strip_prefix("data/dogImages/").unwrap().to_owned()
            };
            let mut paths: Vec<String> = paths.iter().map(relative).collect();
            paths.sort();
            (finding["kind"].as_str().unwrap().to_owned(), paths)
        })
        .collect()
}

fn expected(planted: Vec<Planted>) -> BTreeSet<(String, Vec<String>)> {
    let sorted = |mut paths: Vec<String>| {
        paths.sort();
        paths
    };
    planted.into_iter().map(|(kind, paths)| (kind.to_owned(), sorted(paths))).collect()
}

#[test]
fn every_planted_fault_is_found_and_nothing_else() {
    let working_dir = WorkingDir::without_weights();
    let expected = expected(plant_all(&working_dir));
    assert!(PLANTS.len() >= 20);

    let output = working_dir.run(&["check", "--json"]);
    assert_eq!(output.status.code(), Some(65), "{}", text(&output.stderr));
    let report = json(&output);
    let found = found(&report);
    let missed: Vec<_> = expected.difference(&found).collect();
    assert!(missed.is_empty(), "not found: {missed:#?}");
    let invented: Vec<_> = found.difference(&expected).collect();
    assert!(invented.is_empty(), "found, but not planted: {invented:#?}");
    let findings = report["findings"].as_array().unwrap();
    let num_errors = findings.iter().filter(|finding| finding["severity"] == "error").count();
    assert_eq!(report["num_errors"], num_errors);
    assert_eq!(report["num_notes"], findings.len() - num_errors);
    for finding in findings {
        assert!(!finding["reason"].as_str().unwrap().is_empty(), "{finding}");
        assert!(!finding["remedy"].as_str().unwrap().is_empty(), "{finding}");
    }

    // The table names the same kinds, with how many there are of each.
    let output = working_dir.run(&["check"]);
    assert_eq!(output.status.code(), Some(65));
    let table = text(&output.stdout);
    for (kind, _) in &expected {
        let num_findings = expected.iter().filter(|(other, _)| other == kind).count();
        assert!(table.contains(&format!("\n{kind} ({num_findings}): ")), "{kind}: {table}");
    }
    assert!(text(&output.stderr).contains("would hurt a training"));
}

#[test]
fn a_clean_data_set_has_no_findings() {
    let working_dir = WorkingDir::without_weights();
    let output = working_dir.run(&["check", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let report = json(&output);
    assert_eq!(report["findings"], serde_json::json!([]), "{report}");
    assert_eq!(report["num_usable"], report["num_images"]);
    assert_eq!(report["classes"][0]["train"], 5);
    let output = working_dir.run(&["check"]);
    assert!(text(&output.stdout).contains("nothing found"), "{}", text(&output.stdout));
}

#[test]
fn notes_alone_leave_the_exit_code_at_0() {
    let working_dir = WorkingDir::without_weights();
    let image = working_dir.images("train", 0)[0].clone();
    fs::copy(&image, image.with_file_name("copy.jpg")).unwrap();
    fs::write(image.with_file_name("notes.txt"), "a note").unwrap();
    let output = working_dir.run(&["check"]);
    let table = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{table}");
    assert!(table.contains("duplicate (1)") && table.contains("other-file (1)"), "{table}");
}

#[test]
fn a_missing_split_or_data_set_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let run = || super::common::ec2train(dir.path(), &["check", "--json"]);
    assert_eq!(run().status.code(), Some(66));

    let root = dir.path().join("data/dogImages");
    for index in 0..5 {
        write(&root.join(format!("train/a/{index}.jpg")), &jpeg(&picture(index, 80, 60), 90));
    }
    fs::create_dir_all(root.join("valid/a")).unwrap();
    fs::write(root.join("test"), "no folder").unwrap();
    let output = run();
    assert_eq!(output.status.code(), Some(65), "{}", text(&output.stderr));
    let planted = vec![
        ("missing-split", vec!["test".to_owned()]),
        ("empty-split", vec!["valid".to_owned()]),
        ("unmeasured-class", vec!["valid/a".to_owned()]),
    ];
    assert_eq!(found(&json(&output)), expected(planted));
}

#[test]
fn thousands_of_findings_of_a_kind_are_counted_and_ten_are_shown() {
    let working_dir = WorkingDir::without_weights();
    let class = working_dir.images("train", 0)[0].parent().unwrap().to_owned();
    for index in 0..2500 {
        fs::write(class.join(format!("{index}.jpg")), "").unwrap();
    }
    let output = working_dir.run(&["check"]);
    assert_eq!(output.status.code(), Some(65));
    let table = text(&output.stdout);
    assert!(table.contains("empty-file (2500)"), "{table}");
    assert!(table.contains("and 2490 more"), "{table}");
    assert!(table.lines().count() < 40, "{table}");
}

/// What Pillow wrote in each format and mode.
#[test]
fn what_headers_say_of_colours_depth_and_pages_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/data/images");
    let root = dir.path().join("data/dogImages");
    for image in super::common::sorted_entries(&golden) {
        if image.extension().is_some_and(|extension| extension != "rgb") {
            let name = image.file_name().unwrap().to_str().unwrap();
            write(&root.join("train/a").join(name), &fs::read(&image).unwrap());
        }
    }
    let report = json(&super::common::ec2train(dir.path(), &["check", "--json"]));
    let kinds = [
        "grayscale",
        "cmyk",
        "transparent",
        "sixteen-bit",
        "animation",
        "exif-rotated",
        "corrupt",
        "truncated",
        "badly-truncated",
        "wrong-extension",
        "blank-image",
    ];
    let mut traits: Vec<(String, String)> = found(&report)
        .into_iter()
        .filter(|(kind, _)| kinds.contains(&kind.as_str()))
        .map(|(kind, paths)| (kind, paths[0].strip_prefix("train/a/").unwrap().to_owned()))
        .collect();
    traits.sort();
    let expected = [
        ("animation", "gif_animated.gif"),
        ("cmyk", "jpeg_cmyk.jpg"),
        ("cmyk", "jpeg_cmyk_unmarked.jpg"),
        ("cmyk", "jpeg_ycck.jpg"),
        ("cmyk", "tiff_cmyk.tif"),
        ("exif-rotated", "jpeg_exif_rotated.jpg"),
        ("grayscale", "jpeg_gray.jpg"),
        ("grayscale", "jpeg_progressive_gray.jpg"),
        ("grayscale", "png_1bit.png"),
        ("grayscale", "png_gray.png"),
        ("grayscale", "png_gray16.png"),
        ("grayscale", "png_gray_alpha.png"),
        ("grayscale", "tiff_1bit.tif"),
        ("grayscale", "tiff_gray.tif"),
        ("sixteen-bit", "png_gray16.png"),
        ("transparent", "gif_transparent.gif"),
        ("transparent", "png_gray_alpha.png"),
        ("transparent", "png_palette_transparent.png"),
        ("transparent", "png_rgba.png"),
        ("transparent", "webp_lossless_alpha.webp"),
    ];
    let expected = expected.map(|(kind, name)| (kind.to_owned(), name.to_owned()));
    assert_eq!(traits, expected);
}

fn write(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}
