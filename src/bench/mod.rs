//! What this machine does per second, stage by stage.

mod csv_file;
mod inputs;
mod quartiles;
mod report;
mod stages;

pub use csv_file::append;
pub use inputs::{photograph, state_dict};
pub use quartiles::Quartiles;
pub use report::{Figure, Report};
pub use stages::{Plan, run};
