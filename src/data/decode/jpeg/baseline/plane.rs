//! Samples of one component: some rows of the image at a time.

/// Rows start at multiples of this, so that vectors of samples never run over a row's end.
pub(super) const ALIGNMENT: usize = 32;

/// The rows of a row of MCUs, and before them the last rows of the one above.
#[derive(Debug)]
pub(super) struct Plane {
    /// `[rows, stride]` u8.
    samples: Vec<u8>,
    stride: usize,
    /// Samples of a row that are the image's: whole blocks.
    width: usize,
    /// Rows of the row of MCUs above.
    num_kept: usize,
}

impl Plane {
    /// Of `blocks_across` x `blocks_down` blocks, below `num_kept` rows.
    pub(super) fn new(blocks_across: usize, blocks_down: usize, num_kept: usize) -> Self {
        let width = 8 * blocks_across;
        let stride = width.next_multiple_of(ALIGNMENT);
        let samples = vec![0; stride * (num_kept + 8 * blocks_down)];
        Plane { samples, stride, width, num_kept }
    }

    /// Puts a block where it belongs: `across` blocks from the left, `down` from the top.
    #[inline(always)]
    pub(super) fn put(&mut self, across: usize, down: usize, block: &[[u8; 8]; 8]) {
        let start = (self.num_kept + 8 * down) * self.stride + 8 * across;
        for (row, samples) in block.iter().enumerate() {
            self.samples[start + row * self.stride..][..8].copy_from_slice(samples);
        }
    }

    /// The samples of a row, [`ALIGNMENT`] of them or a multiple.
    #[inline(always)]
    pub(super) fn row(&self, row: usize) -> &[u8] {
        &self.samples[row * self.stride..][..self.stride]
    }

    /// Samples of a row that are the image's.
    #[inline(always)]
    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// Moves the last rows before the first ones.
    pub(super) fn keep_last_rows(&mut self) {
        let first = self.samples.len() - self.num_kept * self.stride;
        self.samples.copy_within(first.., 0);
    }
}
