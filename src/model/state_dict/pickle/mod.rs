//! Reading pickles without running them.

mod construct;
mod cursor;
mod global;
mod heap;
mod machine;

pub(super) use global::{Callable, Global};
pub(super) use heap::{Heap, Object, ObjectId, Storage, Value};
pub(super) use machine::{Pickle, read};

/// First byte of every pickle that PyTorch writes: the opcode that says the protocol.
pub(super) const PROTO: u8 = 0x80;
