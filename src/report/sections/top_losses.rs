//! The images that the model is most wrong about.

use std::path::Path;

use maud::html;

use super::Section;
use super::picture::{class_name, picture, shown_path};
use crate::report::format::percent;
use crate::report::predictions::Prediction;
use crate::report::write::RunRecord;

/// Images that are shown.
const MAX_IMAGES: usize = 12;

/// The test images with the highest loss.
pub(in crate::report) fn top_losses(run: &RunRecord, predictions: &[Prediction]) -> Section {
    let names = &run.metadata.class_names;
    let samples = run.test_samples();
    let mut order: Vec<usize> = (0..predictions.len().min(samples.len())).collect();
    order.sort_by(|&a, &b| predictions[b].loss.total_cmp(&predictions[a].loss));
    order.truncate(MAX_IMAGES);
    let paths: Vec<&Path> = order.iter().map(|&image| samples[image].path.as_path()).collect();
    let pictures = run.thumbnails.of(&paths);
    let body = html! {
        p { "Of the test split. Look for labels that are wrong and pictures that show something else." }
        ol.cards {
            @for ((&image, path), uri) in order.iter().zip(&paths).zip(&pictures) {
                @let prediction = &predictions[image];
                @let class = &names[prediction.target];
                li {
                    div.pictures { (picture(uri.as_deref(), &format!("An image of {class}"))) }
                    div {
                        p {
                            strong { (class_name(class)) }
                            @if prediction.is_correct() {
                                ", found with " (percent(prediction.confidence))
                            } @else {
                                ", taken for " strong { (class_name(&names[prediction.predicted])) }
                                " with " (percent(prediction.confidence))
                            }
                        }
                        p.small {
                            "loss " (format!("{:.2}", prediction.loss)) ", "
                            code { (shown_path(&run.folder.root, path)) }
                        }
                    }
                }
            }
        }
    };
    Section { id: "losses", title: "Highest losses", body }
}
