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

/// Memory that is asked for a little at a time while something else is computed, so that nothing waits for
/// it.
#[derive(Debug, Clone, Copy)]
pub struct Ahead<'a, V> {
    left: &'a [V],
    step_len: usize,
}

impl<'a, V> Ahead<'a, V> {
    /// `values` in equal parts, one for each of `num_steps` steps. Nothing without the `native` feature.
    pub fn new(values: &'a [V], num_steps: usize) -> Self {
        let step_len = values.len().div_ceil(num_steps.max(1)).next_multiple_of(LINE_LEN);
        Ahead { left: values, step_len }
    }

    /// Asks for the next part.
    #[inline(always)]
    pub fn step(&mut self) {
        if !self.left.is_empty() {
            let (next, left) = self.left.split_at(self.step_len.min(self.left.len()));
            self.left = left;
            prefetch(next);
        }
    }
}

#[cfg(feature = "native")]
#[allow(unsafe_code)]
fn prefetch<V>(values: &[V]) {
    // SAFETY: nothing is read: the CPU may do without.
    unsafe { ec2train_prefetch(values.as_ptr().cast(), size_of_val(values)) }
}

#[cfg(not(feature = "native"))]
fn prefetch<V>(_values: &[V]) {}

// native/prefetch.cpp
#[cfg(feature = "native")]
#[allow(unsafe_code)]
unsafe extern "C" {
    fn ec2train_prefetch(start: *const std::ffi::c_char, num_bytes: usize);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_asked_for_in_as_many_steps_as_were_said() {
        for len in [0, 1, 16, 17, 500] {
            for num_steps in [1, 3, 40] {
                let values = vec![1.0f32; len];
                let mut ahead = Ahead::new(&values, num_steps);
                (0..num_steps).for_each(|_| ahead.step());
                assert!(ahead.left.is_empty(), "{len} in {num_steps}");
                ahead.step();
            }
        }
    }
}
