//! What is wrong with a data set: every file read and decoded as in a training, nothing trained.

mod balance;
mod content;
mod duplicates;
mod finding;
mod finding_kind;
mod fingerprint;
mod inspection;
mod listing;
mod picture;
mod similar;
mod traits;

pub use finding::Finding;
pub use finding_kind::{FindingKind, Severity};
pub use inspection::{ClassSizes, Inspection, inspect};
