//! The network: its files, its architecture, its computation.

pub mod backbone;
pub mod fold;
pub mod head;
pub mod resnet;
pub mod state_dict;
pub mod weights;
