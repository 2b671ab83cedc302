//! report.html of the real binary.
#![allow(clippy::unwrap_used)]

// Other tests need the rest of it.
mod common;

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use common::{WorkingDir, sorted_entries, text};
use scraper::{Html, Selector};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Most bytes of a report, whatever the images are.
const MAX_BYTES: usize = 1 << 20;
/// What a class folder may be called.
const HOSTILE: &str = "<script>alert('1')&amp;\"";

fn train(working_dir: &WorkingDir) -> String {
    let output = working_dir.run(&[]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    text(&output.stdout) + &text(&output.stderr)
}

fn read(path: &Path) -> Html {
    let source = fs::read_to_string(path).unwrap();
    assert!(source.len() <= MAX_BYTES, "{} bytes", source.len());
    assert!(!source.contains("http://") && !source.contains("https://"));
    let page = Html::parse_document(&source);
    assert_eq!(page.errors, Vec::<std::borrow::Cow<str>>::new());
    page
}

fn select(selector: &str) -> Selector {
    Selector::parse(selector).unwrap()
}

fn count(page: &Html, selector: &str) -> usize {
    page.select(&select(selector)).count()
}

fn texts(page: &Html, selector: &str) -> Vec<String> {
    page.select(&select(selector)).map(|element| element.text().collect()).collect()
}

/// What holds for every report.
fn assert_accessible(page: &Html) {
    for once in
        ["h1", "main", "header", "footer", "nav[aria-label]", "html[lang]", "title:not(svg *)"]
    {
        assert_eq!(count(page, once), 1, "{once}");
    }
    let mut ids = HashSet::new();
    for element in page.select(&select("[id]")) {
        let id = element.attr("id").unwrap();
        assert!(ids.insert(id.to_owned()), "two elements are {id}");
    }
    for attribute in ["aria-labelledby", "aria-describedby"] {
        for element in page.select(&select(&format!("[{attribute}]"))) {
            assert!(ids.contains(element.attr(attribute).unwrap()), "{}", element.html());
        }
    }
    for link in page.select(&select("a")) {
        let target = link.attr("href").unwrap().strip_prefix('#').unwrap();
        assert!(ids.contains(target), "{target}");
    }
    for image in page.select(&select("img")) {
        assert!(!image.attr("alt").unwrap().is_empty());
        assert!(image.attr("src").unwrap().starts_with("data:image/jpeg;base64,"));
    }
    assert_eq!(count(page, "th:not([scope])"), 0);
    assert_eq!(count(page, "table"), count(page, "table > caption"));
    let plots = count(page, "figure > svg");
    assert_eq!(plots, 7);
    assert_eq!(count(page, "svg[role=img] > title"), plots);
    assert_eq!(count(page, "svg[role=img] > desc"), plots);
    assert_eq!(count(page, "link, iframe, object, embed, script[src], img:not([src^='data:'])"), 0);
    assert_eq!(count(page, "script"), 1);
}

#[test]
fn a_run_has_a_report_of_one_file_and_names_are_only_text_in_it() {
    let working_dir = WorkingDir::with_features();
    let first = &working_dir.class_names()[0];
    for split in ["train", "valid", "test"] {
        let dir = working_dir.path("data/dogImages").join(split);
        fs::rename(dir.join(first), dir.join(HOSTILE)).unwrap();
    }
    fs::write(working_dir.path("data/dogImages/train").join(HOSTILE).join("<b>.jpg"), "no image")
        .unwrap();
    let said = train(&working_dir);
    assert!(!said.contains("no report"), "{said}");
    let page = read(&working_dir.path("TrainedModels/report.html"));
    assert_accessible(&page);

    let metadata = working_dir.metadata();
    let names: HashSet<String> = working_dir.class_names().into_iter().collect();
    let rows: HashSet<String> = texts(&page, "#classes ~ div tbody th").into_iter().collect();
    assert_eq!(rows, names);
    let page_text = texts(&page, "main").concat();
    assert!(
        page_text.contains("<b>.jpg: the content is not an image of a known format"),
        "{page_text}"
    );
    let accuracy = metadata["metrics"]["test"]["top1_accuracy"].as_f64().unwrap();
    assert_eq!(texts(&page, ".lede strong")[0], format!("{:.1}\u{a0}%", 100.0 * accuracy));
    // Two classes of a picture each, and one for each loss.
    let num_test = metadata["data"]["num_test"].as_u64().unwrap() as usize;
    assert_eq!(count(&page, "#losses ~ ol img"), num_test.min(12));
    let stages = texts(&page, "#machine ~ div tbody th");
    for stage in ["reading the folders", "features", "epochs", "saving"] {
        assert!(stages.iter().any(|name| name == stage), "{stages:?}");
    }
}

#[test]
fn a_worse_model_has_its_own_report_and_what_cannot_be_shown_is_left_out() {
    let working_dir = WorkingDir::with_features();
    train(&working_dir);
    let standing = fs::read(working_dir.path("TrainedModels/report.html")).unwrap();
    let names = working_dir.class_names();
    working_dir.swap_classes(&["train"]);
    train(&working_dir);

    assert!(fs::read(working_dir.path("TrainedModels/report.html")).unwrap() == standing);
    let runs = sorted_entries(&working_dir.path("TrainedModels/runs"));
    let page = read(&runs[1].join("report.html"));
    assert_accessible(&page);
    assert!(texts(&page, ".lede")[0].contains("did not become the standing model"));
    assert!(texts(&page, "#measures ~ p")[0].contains("tested on the same images"));
    assert_eq!(count(&page, "#measures ~ div tbody tr"), 3 + 6);
    let pairs = texts(&page, "#confused ~ ul li");
    assert!(
        pairs.iter().any(|pair| pair.contains(&names[0]) && pair.contains(&names[1])),
        "{pairs:?}"
    );
    assert_eq!(count(&page, "#confused ~ ul img"), 2 * pairs.len());
}

#[test]
fn the_next_report_takes_the_pictures_of_files_that_have_not_changed() {
    /// Of the checksums in src/report/known_thumbnails.rs.
    const SEED: u64 = 1 << 32 | 1;
    let working_dir = WorkingDir::with_features();
    // Younger files may change again without their times telling.
    std::thread::sleep(Duration::from_millis(2100));
    train(&working_dir);
    let known = working_dir.path("TrainedModels/features/thumbnails.jsonl");
    let lines = fs::read_to_string(&known).unwrap();
    let page = fs::read_to_string(working_dir.path("TrainedModels/report.html")).unwrap();
    let uris: Vec<String> = lines
        .lines()
        .map(|line| {
            let line: serde_json::Value = serde_json::from_str(&line[17..]).unwrap();
            line["uri"].as_str().unwrap().to_owned()
        })
        .collect();
    assert!(!uris.is_empty() && uris.iter().all(|uri| page.contains(uri)));

    // Pictures that nobody would draw.
    let mut forged = String::new();
    for line in lines.lines() {
        let mut line: serde_json::Value = serde_json::from_str(&line[17..]).unwrap();
        line["uri"] = "data:image/jpeg;base64,forged".into();
        let json = line.to_string();
        forged += &format!("{:016x} {json}\n", xxh3_64_with_seed(json.as_bytes(), SEED));
    }
    fs::write(&known, forged).unwrap();
    fs::remove_file(&working_dir.images("train", 0)[0]).unwrap();
    train(&working_dir);
    let runs = sorted_entries(&working_dir.path("TrainedModels/runs"));
    let page = fs::read_to_string(runs[1].join("report.html")).unwrap();
    assert!(page.contains("base64,forged"), "no picture was taken from the report before");
}
