//! A buffer that begins with a cache line.

use std::ops::{Deref, DerefMut};

use super::arithmetic::Value;
use super::fetch::LINE_LEN;

/// Values from the beginning of a cache line on: a vector that lies in two lines takes twice as long to
/// load. The memory only grows.
#[derive(Debug, Default)]
pub struct Aligned<V> {
    /// Some more than are used.
    values: Vec<V>,
    first: usize,
    len: usize,
}

impl<V: Value> Aligned<V> {
    /// `len` values to be overwritten. They are the former ones where there were as many.
    pub fn resized(&mut self, len: usize) -> &mut [V] {
        if self.values.len() < len + LINE_LEN {
            // Zeros are written. A page of the operating system's that is read first is replaced at the first
            // write, which every core has to be told: a fifth of the time of a few images.
            self.values.resize(len + LINE_LEN, V::default());
            self.first = self.values.as_ptr().align_offset(LINE_LEN * size_of::<V>());
        }
        self.len = len;
        self
    }

    /// Room for `len` values.
    pub fn with_capacity(len: usize) -> Self {
        // Zeros come from the operating system: nothing is written before the values are.
        let values = vec![V::default(); len + LINE_LEN];
        let first = values.as_ptr().align_offset(LINE_LEN * size_of::<V>());
        Aligned { values, first, len: 0 }
    }

    /// Adds `len` zeros, for which there is room, and returns them. Not after [`Aligned::resized`].
    pub fn append(&mut self, len: usize) -> &mut [V] {
        let end = self.first + self.len + len;
        assert!(end <= self.values.len(), "there is no room for {len} more values");
        self.len += len;
        &mut self.values[end - len..end]
    }
}

impl<V> Deref for Aligned<V> {
    type Target = [V];

    fn deref(&self) -> &[V] {
        &self.values[self.first..self.first + self.len]
    }
}

impl<V> DerefMut for Aligned<V> {
    fn deref_mut(&mut self) -> &mut [V] {
        &mut self.values[self.first..self.first + self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_begin_with_a_cache_line_and_stay_while_their_number_does() {
        let mut values = Aligned::<f32>::default();
        for len in [1, 100, 100_000, 7] {
            values.resized(len).fill(len as f32);
            assert_eq!(values.as_ptr().addr() % 64, 0);
            assert_eq!(values.resized(len), vec![len as f32; len]);
        }
    }

    #[test]
    fn values_that_are_appended_begin_with_a_cache_line_and_stay_there() {
        let mut values = Aligned::<f32>::with_capacity(300);
        let begin = values.as_ptr();
        assert_eq!(begin.addr() % 64, 0);
        for len in [100, 0, 200] {
            let appended = values.append(len);
            assert_eq!(appended, vec![0.0; len]);
            appended.fill(len as f32);
        }
        assert_eq!(*values, [vec![100.0; 100], vec![200.0; 200]].concat());
        assert_eq!(values.as_ptr(), begin);
    }
}
