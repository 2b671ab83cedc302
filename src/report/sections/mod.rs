//! The parts of the page.

mod calibration;
mod class_table;
mod comparison;
mod confused_pairs;
mod data;
mod learning;
mod machine;
mod origin;
mod picture;
mod section;
mod summary;
mod top_losses;

pub(super) use calibration::calibration;
pub(super) use class_table::class_table;
pub(super) use comparison::comparison;
pub(super) use confused_pairs::confused_pairs;
pub(super) use data::data;
pub(super) use learning::learning;
pub(super) use machine::machine;
pub(super) use origin::origin;
pub(super) use section::Section;
pub(super) use summary::{key_figures, verdict};
pub(super) use top_losses::top_losses;
