//! Accuracy by confidence.

use maud::Markup;

use super::chart::{Axis, Caption, Ink, figure};
use crate::error::Result;
use crate::report::calibration::Calibration;
use crate::report::format::percent;

/// Half the width of a bar.
const HALF_WIDTH: f64 = 0.02;

/// A bar for each bin at its mean confidence, and the diagonal on which the two are equal.
pub(in crate::report) fn reliability(calibration: &Calibration) -> Result<Markup> {
    let summary = match calibration.means() {
        Some((confidence, accuracy)) => format!(
            "Mean confidence {}, accuracy {}: the model is {}. The bars would end at the line if \
             they were equal everywhere.",
            percent(confidence),
            percent(accuracy),
            if confidence > accuracy { "too sure of itself" } else { "surer than it says" }
        ),
        None => "No values.".to_owned(),
    };
    let caption = Caption { id: "plot-reliability", title: "Reliability", summary, legend: &[] };
    let whole_percent = |value: f64| format!("{:.0} %", 100.0 * value);
    let axis = |name| Axis { range: 0.0..1.0, num_ticks: 6, format: &whole_percent, name };
    figure(&caption, &axis("confidence"), &axis("accuracy"), |canvas| {
        for bin in &calibration.bins {
            let (left, right) = (bin.confidence - HALF_WIDTH, bin.confidence + HALF_WIDTH);
            canvas.rectangle(Ink::First, (left.max(0.0), 0.0), (right.min(1.0), bin.accuracy))?;
        }
        canvas.line(Ink::Second, &[(0.0, 0.0), (1.0, 1.0)])
    })
}
