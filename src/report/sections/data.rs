//! What was found in the data set.

use maud::{Markup, html};

use super::Section;
use super::picture::shown_path;
use crate::data::FileNote;
use crate::data::image_folder::Split;
use crate::error::Result;
use crate::report::format::{count, plural};
use crate::report::plots::class_balance;
use crate::report::write::RunRecord;

/// Files that a list names.
const MAX_FILES: usize = 50;

/// Counts, balance and files that something is wrong with.
pub(in crate::report) fn data(run: &RunRecord) -> Result<Section> {
    let data = &run.metadata.data;
    let mut per_class = vec![0; run.metadata.class_names.len()];
    for sample in run.used_samples(Split::Train) {
        per_class[sample.target] += 1;
    }
    let clean = data.skipped.is_empty() && data.damaged.is_empty() && data.leaks.is_empty();
    let body = html! {
        p {
            code { (data.dir.to_string_lossy()) } ": " (count(data.num_train)) " train, "
            (count(data.num_valid)) " valid and " (count(data.num_test)) " test images were used. "
            @if clean {
                "Nothing was skipped, nothing is damaged, no image of valid or test is in train too."
            }
            " " code { "ec2train check" } " looks further: for near-duplicates, odd sizes, classes too small."
        }
        div.plots { (class_balance(&per_class)?) }
        (notes("skipped", &data.skipped, run))
        (notes("used although damaged", &data.damaged, run))
        @if !data.leaks.is_empty() {
            h3 { (plural(data.leaks.len(), "image", "images")) " of valid or test that are in train too" }
            p { "The measures flatter the model by these." }
            ul.files {
                @for leak in data.leaks.iter().take(MAX_FILES) {
                    li { code { (shown_path(&run.folder.root, &leak.held_out)) } " is " code { (shown_path(&run.folder.root, &leak.train)) } }
                }
            }
            (more(data.leaks.len()))
        }
    };
    Ok(Section { id: "data", title: "Data set", body })
}

fn notes(what: &str, files: &[FileNote], run: &RunRecord) -> Markup {
    html! {
        @if !files.is_empty() {
            h3 { (plural(files.len(), "file", "files")) " " (what) }
            ul.files {
                @for file in files.iter().take(MAX_FILES) {
                    li { code { (shown_path(&run.folder.root, &file.path)) } ": " (file.reason) }
                }
            }
            (more(files.len()))
        }
    }
}

fn more(num_files: usize) -> Markup {
    html! {
        @if num_files > MAX_FILES {
            p { "And " (count(num_files - MAX_FILES)) " more: model.json names them all." }
        }
    }
}
