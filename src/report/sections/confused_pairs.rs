//! The classes that are taken for each other.

use std::path::Path;

use maud::html;

use super::Section;
use super::picture::{class_name, picture};
use crate::data::image_folder::{Sample, Split};
use crate::report::confusion::{ConfusedPair, Confusion};
use crate::report::format::plural;
use crate::report::predictions::Prediction;
use crate::report::write::RunRecord;

/// Pairs that are shown, with two pictures each.
const MAX_PAIRS: usize = 8;

/// The most confused pairs, with a picture of either class.
pub(in crate::report) fn confused_pairs(
    run: &RunRecord,
    predictions: &[Prediction],
    confusion: &Confusion,
) -> Section {
    let names = &run.metadata.class_names;
    let samples = run.test_samples();
    let pairs = confusion.most_confused(MAX_PAIRS);
    let paths: Vec<&Path> = pairs
        .iter()
        .flat_map(|pair| {
            [(pair.first, &pair.first_as_second), (pair.second, &pair.second_as_first)]
        })
        .map(|(class, mistakes)| example(run, &samples, predictions, class, mistakes))
        .collect();
    let pictures = run.thumbnails.of(&paths);
    let body = html! {
        @if pairs.is_empty() {
            p { "No image of the test split was taken for another class." }
        } @else {
            p { "On the test split. A picture is one that was taken for the other class, if there is one." }
            ul.cards {
                @for (pair, pictures) in pairs.iter().zip(pictures.chunks(2)) {
                    li {
                        div.pictures {
                            @for (class, uri) in [pair.first, pair.second].into_iter().zip(pictures) {
                                (picture(uri.as_deref(), &format!("An image of {}", names[class])))
                            }
                        }
                        p { strong { (class_name(&names[pair.first])) } " and " strong { (class_name(&names[pair.second])) } }
                        p.small { (counts(pair)) }
                    }
                }
            }
        }
    };
    Section { id: "confused", title: "Most confused pairs", body }
}

fn counts(pair: &ConfusedPair) -> String {
    let there = plural(pair.first_as_second.len(), "image", "images");
    match pair.second_as_first.len() {
        0 => format!("{there} of the first taken for the second, none the other way round"),
        back => format!("{there} of the first taken for the second, {back} the other way round"),
    }
}

/// One of `mistakes`; else the surest hit; else an image that the head was trained on.
fn example<'a>(
    run: &RunRecord<'a>,
    samples: &[&'a Sample],
    predictions: &[Prediction],
    class: usize,
    mistakes: &[usize],
) -> &'a Path {
    let surest = || {
        (0..predictions.len())
            .filter(|&image| predictions[image].target == class && predictions[image].is_correct())
            .max_by(|&a, &b| predictions[a].confidence.total_cmp(&predictions[b].confidence))
    };
    let tested = mistakes.first().copied().or_else(surest).and_then(|image| samples.get(image));
    let trained = || run.folder.samples(Split::Train).iter().find(|it| it.target == class);
    tested.copied().or_else(trained).map_or(Path::new(""), |sample| &sample.path)
}
