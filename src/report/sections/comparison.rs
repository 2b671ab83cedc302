//! This model and the one that stood before.

use maud::{Markup, html};

use super::Section;
use crate::artifact::Metadata;
use crate::metrics::Metrics;
use crate::report::format::{count, percent, signed};
use crate::report::write::RunRecord;

/// The measures of both.
pub(in crate::report) fn comparison(run: &RunRecord) -> Section {
    let body = html! {
        (own(run.metadata))
        @match run.standing {
            Some(standing) => (table(standing, run.metadata)),
            None => p { "There was no model before this one." },
        }
    };
    Section { id: "measures", title: "Measures, beside the model before", body }
}

fn table(standing: &Metadata, new: &Metadata) -> Markup {
    let same_test = standing.data.test_fingerprint.is_some()
        && standing.data.test_fingerprint == new.data.test_fingerprint
        && standing.class_names == new.class_names;
    let (old, now) = (&standing.metrics, &new.metrics);
    let points = |old: f64, new: f64| format!("{} points", signed(100.0 * (new - old), 1));
    let nats = |metrics: &Metrics| format!("{:.4}", metrics.loss);
    let rows = [
        (
            "Top-1, test",
            percent(old.test.top1_accuracy),
            percent(now.test.top1_accuracy),
            points(old.test.top1_accuracy, now.test.top1_accuracy),
        ),
        (
            "Top-5, test",
            percent(old.test.top5_accuracy),
            percent(now.test.top5_accuracy),
            points(old.test.top5_accuracy, now.test.top5_accuracy),
        ),
        ("Loss, test", nats(&old.test), nats(&now.test), signed(now.test.loss - old.test.loss, 4)),
        (
            "Loss, valid",
            nats(&old.valid),
            nats(&now.valid),
            signed(now.valid.loss - old.valid.loss, 4),
        ),
        (
            "Train images",
            count(standing.data.num_train),
            count(new.data.num_train),
            signed(new.data.num_train as f64 - standing.data.num_train as f64, 0),
        ),
        (
            "Classes",
            count(standing.class_names.len()),
            count(new.class_names.len()),
            signed(new.class_names.len() as f64 - standing.class_names.len() as f64, 0),
        ),
    ];
    html! {
        p {
            @if same_test {
                "Both were tested on the same images."
            } @else {
                "They were tested on different images or classes: the difference says little."
            }
            " The one before is of " (standing.created.strftime("%F %H:%M UTC")) "."
        }
        div.scroll {
            table {
                caption { "Measures of the model before and of this one" }
                thead { tr { th scope="col" { "Measure" } th.number scope="col" { "Before" } th.number scope="col" { "Now" } th.number scope="col" { "Difference" } } }
                tbody {
                    @for (name, old, new, difference) in rows {
                        tr { th scope="row" { (name) } td.number { (old) } td.number { (new) } td.number { (difference) } }
                    }
                }
            }
        }
    }
}

fn own(metadata: &Metadata) -> Markup {
    let metrics = &metadata.metrics;
    html! {
        div.scroll {
            table {
                caption { "Measures of this model" }
                thead { tr { th scope="col" { "Split" } th.number scope="col" { "Images" } th.number scope="col" { "Loss" } th.number scope="col" { "Top-1" } th.number scope="col" { "Top-5" } } }
                tbody {
                    @for (name, split) in [("train", metrics.train), ("valid", metrics.valid), ("test", metrics.test)] {
                        tr {
                            th scope="row" { (name) }
                            td.number { (count(split.num_samples)) }
                            td.number { (format!("{:.4}", split.loss)) }
                            td.number { (percent(split.top1_accuracy)) }
                            td.number { (percent(split.top5_accuracy)) }
                        }
                    }
                }
            }
        }
    }
}
