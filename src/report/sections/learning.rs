//! How the head learnt.

use maud::html;

use super::Section;
use crate::error::Result;
use crate::report::plots::learning_curves;
use crate::report::write::RunRecord;

/// Loss and accuracies by epoch.
pub(in crate::report) fn learning(run: &RunRecord) -> Result<Section> {
    let plots = learning_curves(run.history, run.metadata.best_epoch)?;
    let body = html! {
        div.plots { @for plot in &plots { (plot) } }
    };
    Ok(Section { id: "learning", title: "Learning curves", body })
}
