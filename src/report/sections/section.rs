//! What all parts of the page are made of.

use maud::Markup;

/// A part of the page with a heading.
#[derive(Debug)]
pub(in crate::report) struct Section {
    /// Unique in the page.
    pub(in crate::report) id: &'static str,
    /// Its heading.
    pub(in crate::report) title: &'static str,
    /// Below the heading.
    pub(in crate::report) body: Markup,
}
