//! Which MCUs make up a part of an image.

use std::ops::Range;

use super::header::Header;
use super::plane::ALIGNMENT;
use crate::data::section::Rectangle;

/// Pixels around the part whose chroma is mixed into it.
const REACH: usize = 2;

/// What of an image is made pixels of.
#[derive(Debug)]
pub(super) struct Part {
    /// MCUs side by side that hold it.
    mcus_across: Range<usize>,
    /// MCUs one below the other that hold it.
    mcus_down: Range<usize>,
    /// From here on the last rows are, which tell whether the end is grey.
    last_mcus: usize,
    /// Pixels of a row. They begin at a multiple of [`ALIGNMENT`], so that some at the start may be
    /// of no MCU of these.
    pub(super) columns: Range<usize>,
}

impl Part {
    /// An image's `needed` part.
    pub(super) fn of(header: &Header, needed: Rectangle) -> Self {
        let (across, down) = header.sampling();
        let mcus = |first: u32, len: u32, side: usize, blocks: usize| {
            let (first, end) = (first as usize, first.saturating_add(len) as usize);
            let first = first.min(side - 1).saturating_sub(REACH);
            let end = (end + REACH).clamp(first + 1, side);
            first / (8 * blocks)..end.div_ceil(8 * blocks)
        };
        let mcus_across = mcus(needed.left, needed.width, header.width, across);
        let mcus_down = mcus(needed.top, needed.height, header.height, down);
        let first = mcus_across.start * 8 * across / ALIGNMENT * ALIGNMENT;
        let columns = first..(mcus_across.end * 8 * across).min(header.width);
        // The last row of pixels may take chroma from the row of MCUs before the last one.
        let last_mcus = header.num_mcus().1.saturating_sub(2);
        Part { mcus_across, mcus_down, last_mcus, columns }
    }

    /// Whether pixels of this row of MCUs are wanted.
    #[inline(always)]
    pub(super) fn has_row(&self, mcu_row: usize) -> bool {
        self.mcus_down.contains(&mcu_row) || mcu_row >= self.last_mcus
    }

    /// Whether those of this column of MCUs are.
    #[inline(always)]
    pub(super) fn has_column(&self, mcu: usize) -> bool {
        self.mcus_across.contains(&mcu)
    }
}
