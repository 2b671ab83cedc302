//! The network: its files, its architecture, its computation.

pub mod state_dict;
