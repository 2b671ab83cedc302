//! The saved model in the formats of other programs.

mod description;
mod format;
mod write;

pub use format::Format;
pub use write::{Exported, export};
