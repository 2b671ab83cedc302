//! The page as a whole.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};

use super::calibration::Calibration;
use super::confusion::Confusion;
use super::predictions::predict;
use super::sections::{self, Section};
use super::write::RunRecord;
use crate::error::Result;
use crate::job::Kind;

const STYLE: &str = include_str!("style.css");
/// Makes tables sortable; the page is whole without it.
const SCRIPT: &str = include_str!("sort.js");

/// All sections but the last, which has the hash of the model.
///
/// # Errors
/// [`Error::Internal`](crate::error::Error::Internal) when a plot cannot be drawn.
pub(super) fn sections(run: &RunRecord) -> Result<Vec<Section>> {
    let metadata = run.metadata;
    let predictions = predict(run.head, run.test, metadata.temperature.unwrap_or(1.0))?;
    let confusion = Confusion::new(metadata.class_names.len(), &predictions);
    let calibration = Calibration::new(&predictions);
    // Pictures take longest.
    let (pictures, drawn) = rayon::join(
        || {
            rayon::join(
                || sections::confused_pairs(run, &predictions, &confusion),
                || sections::top_losses(run, &predictions),
            )
        },
        || -> Result<_> {
            let before = [sections::comparison(run), sections::learning(run)?];
            let after = [
                sections::class_table(run, &confusion),
                sections::calibration(&calibration, metadata.temperature)?,
                sections::data(run)?,
                sections::machine(run)?,
            ];
            Ok((before, after))
        },
    );
    let (before, after) = drawn?;
    Ok(before.into_iter().chain(<[Section; 2]>::from(pictures)).chain(after).collect())
}

/// The page of a run with `sections`, to which it adds the last.
pub(super) fn render(run: &RunRecord, mut sections: Vec<Section>) -> Markup {
    let metadata = run.metadata;
    sections.push(sections::origin(run));
    let title = format!("Training of {}", metadata.created.strftime("%F %H:%M UTC"));
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="Content-Security-Policy" content=(policy());
                meta name="color-scheme" content="light dark";
                title { (title) " – ec2train" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                a.skip href="#main" { "Skip to the report" }
                header {
                    h1 { (title) }
                    @if metadata.kind == Kind::Sample {
                        p.note role="note" { "This is " (metadata.description) "." }
                    }
                    (sections::verdict(run))
                    (sections::key_figures(run))
                    nav aria-label="Contents" {
                        ul {
                            @for Section { id, title, .. } in &sections {
                                li { a href=(format!("#{id}")) { (title) } }
                            }
                        }
                    }
                }
                main id="main" {
                    @for Section { id, title, body } in &sections {
                        section aria-labelledby=(id) {
                            h2 id=(id) { (title) }
                            (body)
                        }
                    }
                }
                footer { p { "Made by " (metadata.program) ". The same in figures: model.json, history.jsonl, metrics.jsonl beside this file." } }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    }
}

/// Nothing is loaded from anywhere, and no script runs but the one of this page.
fn policy() -> String {
    let hash = STANDARD.encode(Sha256::digest(SCRIPT));
    format!(
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{hash}'; \
         base-uri 'none'; form-action 'none'"
    )
}
