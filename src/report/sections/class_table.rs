//! How each class fares.

use maud::{Markup, html};

use super::Section;
use super::picture::class_name;
use crate::report::confusion::{ClassMeasure, Confusion};
use crate::report::format::{count, percent_or_dash};
use crate::report::write::RunRecord;

/// Rows at most, so that the file stays small.
const MAX_ROWS: usize = 1000;

/// Precision and recall on test, the worst class first.
pub(in crate::report) fn class_table(run: &RunRecord, confusion: &Confusion) -> Section {
    let names = &run.metadata.class_names;
    let mut rows: Vec<(&String, &ClassMeasure)> = names.iter().zip(confusion.classes()).collect();
    let value = |class: &ClassMeasure| class.f1().unwrap_or(f64::INFINITY);
    rows.sort_by(|(_, a), (_, b)| value(a).total_cmp(&value(b)));
    let shown = &rows[..rows.len().min(MAX_ROWS)];
    let columns =
        [("Class", false), ("Images", true), ("Precision", true), ("Recall", true), ("F1", true)];
    let body = html! {
        p {
            "Precision: the part of the images taken for a class that are of it. Recall: the part of its \
             images that were found. F1: their harmonic mean."
            @if shown.len() < rows.len() {
                " The " (count(shown.len())) " classes with the lowest F1 of " (count(rows.len())) "."
            }
        }
        div.scroll.tall tabindex="0" role="region" aria-label="Table of classes" {
            table data-sortable="" {
                caption { "Classes on the test split, the lowest F1 first" }
                thead {
                    tr {
                        @for (name, is_number) in columns {
                            th scope="col" class=[is_number.then_some("number")]
                                aria-sort=[(name == "F1").then_some("ascending")] { (name) }
                        }
                    }
                }
                tbody {
                    @for (name, class) in shown {
                        tr {
                            th scope="row" { (class_name(name)) }
                            td.number data-value=(class.num_images) { (count(class.num_images)) }
                            (cell(class.precision())) (cell(class.recall())) (cell(class.f1()))
                        }
                    }
                }
            }
        }
    };
    Section { id: "classes", title: "Classes", body }
}

fn cell(part: Option<f64>) -> Markup {
    html! { td.number data-value=[part.map(|part| format!("{part:.6}"))] { (percent_or_dash(part)) } }
}
