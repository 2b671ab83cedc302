//! Weights as they are packed: output by output.

// Each test file uses a part of it.
#![allow(dead_code)]

/// The rows of `[outputs, depth]`.
pub fn rows(matrix: &[f32]) -> impl Fn(usize, &mut [f32]) + '_ {
    |output, row| row.copy_from_slice(&matrix[output * row.len()..][..row.len()])
}

/// The columns of `[depth, num_outputs]`.
pub fn columns(matrix: &[f32], num_outputs: usize) -> impl Fn(usize, &mut [f32]) + '_ {
    move |output, row| {
        for (value, line) in row.iter_mut().zip(matrix.chunks_exact(num_outputs)) {
            *value = line[output];
        }
    }
}
