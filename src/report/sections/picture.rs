//! Thumbnails with what they show.

use std::path::Path;

use maud::{Markup, html};

/// Shown where a file gives no picture.
pub(super) fn picture(uri: Option<&str>, alt: &str) -> Markup {
    match uri {
        Some(uri) => html! { img src=(uri) alt=(alt) width="96" height="96"; },
        None => html! { span.missing { "no picture" } },
    }
}

/// The path below the data set's folder, as far as it can be written.
pub(super) fn shown_path<'a>(root: &Path, path: &'a Path) -> std::borrow::Cow<'a, str> {
    path.strip_prefix(root).unwrap_or(path).to_string_lossy()
}
