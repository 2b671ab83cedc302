//! The network: its files, its architecture, its computation.

pub mod backbone;
pub mod fold;
pub mod head;
#[cfg(feature = "torch")]
pub mod layer4;
#[cfg(feature = "torch")]
mod residual;
pub mod resnet;
pub mod state_dict;
pub mod weights;
