//! Memory brought into the cache ahead of its use.

use super::arithmetic::Value;

/// Values in a cache line.
pub const LINE_LEN: usize = 16;

/// Reads a value of every cache line. A product reads and writes a panel of each row at a time, too far
/// apart for the CPU to foresee; in their order lines come many times faster.
pub fn fetch<V: Value>(values: &[V]) {
    for value in values.iter().step_by(LINE_LEN) {
        std::hint::black_box(*value);
    }
}
