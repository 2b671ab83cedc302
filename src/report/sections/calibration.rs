//! Whether the model's probabilities can be believed.

use maud::html;

use super::Section;
use crate::error::Result;
use crate::report::calibration::Calibration;
use crate::report::format::{count, percent};
use crate::report::plots::reliability;

/// The reliability curve with its figures. The probabilities are those at `temperature`.
pub(in crate::report) fn calibration(
    calibration: &Calibration,
    temperature: Option<f64>,
) -> Result<Section> {
    let body = html! {
        p {
            "Expected calibration error: " strong { (percent(calibration.expected_error)) }
            ", over 15 bins of equal width on the test split. It is the mean distance between how sure the \
             model is and how often it is right; zero is best."
            @if let Some(temperature) = temperature {
                " Logits are divided by " (format!("{temperature:.3}")) " first, the temperature fitted on valid."
            }
        }
        div.plots {
            (reliability(calibration)?)
            div.scroll {
                table {
                    caption { "Confidence and accuracy by bin, without empty bins" }
                    thead { tr { th.number scope="col" { "Confidence" } th.number scope="col" { "Accuracy" } th.number scope="col" { "Images" } } }
                    tbody {
                        @for bin in &calibration.bins {
                            tr { td.number { (percent(bin.confidence)) } td.number { (percent(bin.accuracy)) } td.number { (count(bin.num_images)) } }
                        }
                    }
                }
            }
        }
    };
    Ok(Section { id: "calibration", title: "Calibration", body })
}
