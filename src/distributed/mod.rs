//! One training on several machines, over libtorch's c10d and Gloo.

mod agreement;
mod beat;
pub mod c10d;
mod division;
mod group;
mod heartbeat;
mod peer;
mod rendezvous;
mod topology;

pub use agreement::{Claim, Listing, agree};
pub use division::divide;
pub use group::ProcessGroup;
pub use topology::Topology;
