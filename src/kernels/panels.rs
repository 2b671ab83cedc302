//! Weights that are given output by output, brought into the panels of outputs that are packed.

use pulp::Simd;

use super::aligned::Aligned;
use super::fetch::LINE_LEN;
use super::isa::{Isa, Kernel};

/// Outputs of a panel.
pub const OUTPUTS: usize = 32;
/// Rows that are transposed at once: what they have at one place is a cache line.
const ROWS: usize = LINE_LEN;

/// Buffers that are reused from call to call.
#[derive(Debug, Default)]
pub struct Panels {
    /// `[16, depth]` and a cache line after each row: rows a page apart would compete for the same few
    /// lines of the L1 cache.
    rows: Aligned<f32>,
    /// `[depth, 32]`
    panel: Aligned<f32>,
}

impl Panels {
    /// Calls `pack` with the weights of each panel, `[depth, 32]` f32. `row` writes those of an output,
    /// `[depth]` f32. Of a last panel that is not full the other numbers mean nothing.
    pub fn for_each(
        &mut self,
        isa: Isa,
        depth: usize,
        num_outputs: usize,
        mut row: impl FnMut(usize, &mut [f32]),
        mut pack: impl FnMut(&[[f32; OUTPUTS]]),
    ) {
        let stride = depth + LINE_LEN;
        let rows = self.rows.resized(ROWS * stride);
        let panel = self.panel.resized(depth * OUTPUTS).as_chunks_mut().0;
        for first_output in (0..num_outputs).step_by(OUTPUTS) {
            for column in (0..OUTPUTS).step_by(ROWS) {
                let outputs = first_output + column..num_outputs;
                for (output, values) in outputs.zip(rows.chunks_exact_mut(stride)) {
                    row(output, &mut values[..depth]);
                }
                isa.run(Transpose { rows, stride, column, panel });
            }
            pack(panel);
        }
    }
}

/// Writes rows as columns.
struct Transpose<'a> {
    /// `[16, stride]`
    rows: &'a [f32],
    stride: usize,
    /// Of the first row.
    column: usize,
    /// `[depth, 32]`, of which 16 columns are written.
    panel: &'a mut [[f32; OUTPUTS]],
}

impl Kernel for Transpose<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, _simd: S) {
        for (index, lines) in self.panel.chunks_mut(LINE_LEN).enumerate() {
            let mut block = [[0.0; LINE_LEN]; ROWS];
            for row in 0..ROWS {
                let values = &self.rows[row * self.stride + index * LINE_LEN..][..LINE_LEN];
                block[row].copy_from_slice(values);
            }
            for (place, line) in lines.iter_mut().enumerate() {
                let line = &mut line[self.column..][..ROWS];
                for row in 0..ROWS {
                    line[row] = block[row][place];
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_weight_is_at_its_place() {
        let mut panels = Panels::default();
        for isa in Isa::supported().into_iter().chain([Isa::Portable]) {
            for (depth, num_outputs) in [(1, 1), (15, 32), (16, 40), (37, 96), (2, 65)] {
                let value = |depth: usize, output: usize| (depth * 1000 + output) as f32;
                let mut first_outputs = (0..num_outputs).step_by(OUTPUTS);
                let row = |output, row: &mut [f32]| {
                    assert!(output < num_outputs);
                    for (depth, slot) in row.iter_mut().enumerate() {
                        *slot = value(depth, output);
                    }
                };
                panels.for_each(isa, depth, num_outputs, row, |panel| {
                    let first_output = first_outputs.next().unwrap();
                    assert_eq!(panel.len(), depth);
                    for (depth, line) in panel.iter().enumerate() {
                        for (output, &found) in (first_output..num_outputs).zip(line) {
                            assert_eq!(found, value(depth, output), "{}", isa.name());
                        }
                    }
                });
                assert_eq!(first_outputs.next(), None, "a panel is missing");
            }
        }
    }
}
