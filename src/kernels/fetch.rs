//! Memory brought into the cache ahead of its use.

/// f32 values in a cache line.
pub const LINE_LEN: usize = 16;

/// Reads a value of every cache line. A product reads and writes a panel of each row at a time, too far
/// apart for the CPU to foresee; in their order lines come many times faster.
pub fn fetch(values: &[f32]) {
    let lines = values.iter().step_by(LINE_LEN);
    std::hint::black_box(lines.fold(0, |bits, value| bits | value.to_bits()));
}
