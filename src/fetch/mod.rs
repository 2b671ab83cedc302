//! Downloads of what a run needs and a fresh machine lacks.
//!
//! A file arrives as `<name>.part`, with `<name>.part.json` saying which version of the remote
//! file it is; it gets its own name only when it is whole, has the expected digest and is on disk.
//! An interrupted download continues where it stopped, in the same run or in a later one.

mod dataset;
mod download;
mod network;
mod official;
mod partial;
mod progress;
mod reply;
mod source;
mod unpack;

pub use dataset::fetch_dataset;
pub use download::{Fetched, fetch};
pub use network::Network;
pub use official::{fetch_all, fetch_weights};
pub use progress::{Progress, Task};
pub use source::Source;
pub use unpack::{Unpacked, unpack};
