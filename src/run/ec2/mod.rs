//! Running on Amazon EC2.

pub mod cost;
pub mod instance;
pub mod metadata;
pub mod spot;
