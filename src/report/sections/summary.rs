//! What there is to know if one reads no further.

use maud::{Markup, html};

use crate::report::format::{count, percent};
use crate::report::write::RunRecord;
use crate::run::console::seconds;

/// What became of the model.
pub(in crate::report) fn verdict(run: &RunRecord) -> Markup {
    let metadata = run.metadata;
    let test = &metadata.metrics.test;
    html! {
        p.lede {
            "A head for " (count(metadata.class_names.len())) " classes on a frozen ResNet50, trained on "
            (count(metadata.data.num_train)) " images. On " (count(test.num_samples))
            " test images that it had not seen it is right in " strong { (percent(test.top1_accuracy)) }
            " (standard error " (percent(standard_error(test.top1_accuracy, test.num_samples))) "). "
            @if metadata.promoted {
                "It is the standing model from this run on."
            } @else {
                strong { "It did not become the standing model" }
                ": on the same test images that one is better. This one is kept beside it."
            }
        }
    }
}

/// A line of figures.
pub(in crate::report) fn key_figures(run: &RunRecord) -> Markup {
    let metadata = run.metadata;
    let (test, cost) = (&metadata.metrics.test, &metadata.cost);
    html! {
        dl.figures {
            div { dt { "Top-1, test" } dd { (percent(test.top1_accuracy)) } }
            div { dt { "Top-5, test" } dd { (percent(test.top5_accuracy)) } }
            div { dt { "Loss, test" } dd { (format!("{:.3}", test.loss)) } }
            div { dt { "Time" } dd { (seconds(cost.total_seconds)) } }
            @if let Some(estimate) = &cost.estimate {
                div { dt { "Cost" } dd { (format!("${:.4}", estimate.instance_usd)) } }
            }
            div { dt { "Peak memory" } dd { (cost.peak_memory_bytes / 1_000_000) " MB" } }
        }
    }
}

/// Of the part `p` of `n` images, as a binomial has it.
fn standard_error(p: f64, n: usize) -> f64 {
    (p * (1.0 - p) / n.max(1) as f64).sqrt()
}
