//! What a person looks at after a run: one HTML file that needs no network.
//!
//! ```text
//! head, features of test ──> predictions ──> confusion, calibration ──┐
//! history, timeline ───────────────────────> plots ───────────────────┤
//! image files ─────────────────────────────> thumbnails ──────────────┴──> page ──> report.html
//! ```

mod calibration;
mod confusion;
mod format;
mod known_thumbnails;
mod page;
mod plots;
mod predictions;
mod sections;
mod thumbnail;
mod write;

pub use calibration::{Bin, Calibration};
pub use confusion::{ClassMeasure, ConfusedPair, Confusion};
pub use known_thumbnails::KnownThumbnails;
pub use predictions::{Prediction, predict};
pub use write::{Draft, RunRecord, draft, write};
