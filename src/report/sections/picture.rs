//! Names of images and classes as the page shows them.

use std::borrow::Cow;
use std::path::Path;

use maud::{Markup, html};

/// Shown where a file gives no picture.
pub(super) fn picture(uri: Option<&str>, alt: &str) -> Markup {
    match uri {
        Some(uri) => html! { img src=(uri) alt=(alt) width="96" height="96"; },
        None => html! { span.missing { "no picture" } },
    }
}

/// A name that may be broken after its underscores.
pub(super) fn class_name(name: &str) -> Markup {
    html! {
        @for part in name.split_inclusive('_') { (part) @if part.ends_with('_') { wbr; } }
    }
}

/// The path below the data set's folder, as far as it can be written.
pub(super) fn shown_path<'a>(root: &Path, path: &'a Path) -> Cow<'a, str> {
    path.strip_prefix(root).unwrap_or(path).to_string_lossy()
}
