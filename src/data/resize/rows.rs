//! The rows of an image, resized to fewer or more, as they are decoded.
//!
//! The image is never whole in memory, only the rows that the next resized one is made of. `fast_image_resize`
//! goes down the columns first, too: the pixels are the same, bit for bit.

mod filter;
mod weighted_sum;

use std::ops::Range;

use crate::data::decode::RowSink;
use crate::data::section::{Rectangle, Section};
use crate::kernels::isa::Isa;
use filter::Filter;
use weighted_sum::WeightedSum;

/// Resized rows of an image's section, columns not yet.
#[derive(Debug)]
pub(in crate::data) struct ResizedRows {
    isa: Isa,
    filter: Filter,
    /// Pixels of a row.
    width: usize,
    /// `[rows, width, 3]` u8: what the next resized rows are made of.
    held: Vec<u8>,
    /// Their numbers.
    held_rows: Range<usize>,
    num_resized: usize,
    /// `[side, width, 3]` u8, where only the columns that were decoded mean something.
    resized: Vec<u8>,
}

impl Default for ResizedRows {
    fn default() -> Self {
        ResizedRows {
            // Vectors of 32 bytes, as the decoder's.
            isa: Isa::supported().last().copied().unwrap_or(Isa::Portable),
            filter: Filter::default(),
            width: 0,
            held: Vec::new(),
            held_rows: 0..0,
            num_resized: 0,
            resized: Vec::new(),
        }
    }
}

impl ResizedRows {
    pub(super) fn is_complete(&self) -> bool {
        self.num_resized == self.filter.windows.len()
    }

    /// Width, height, `[height, width, 3]` u8.
    pub(super) fn resized(&self) -> (u32, u32, &[u8]) {
        (self.width as u32, self.filter.windows.len() as u32, &self.resized)
    }

    /// Makes what `section` shows of an image of the next rows.
    pub(in crate::data) fn of<'a, F: Fn(u32, u32) -> Section>(
        &'a mut self,
        section: &'a F,
    ) -> impl RowSink + 'a {
        SectionRows { rows: self, section }
    }
}

/// Rows on their way to a section of an image of any size.
struct SectionRows<'a, F> {
    rows: &'a mut ResizedRows,
    section: &'a F,
}

impl<F: Fn(u32, u32) -> Section> RowSink for SectionRows<'_, F> {
    fn begin(&mut self, width: u32, height: u32) -> Rectangle {
        let section = (self.section)(width, height);
        let rows = &mut *self.rows;
        rows.width = width as usize;
        rows.held_rows = 0..0;
        rows.num_resized = 0;
        rows.filter.set(&section);
        // What is not overwritten is not looked at: only a new size makes this touch memory.
        rows.resized.resize(3 * rows.width * section.side as usize, 0);
        section.needed()
    }

    fn room(&mut self, rows: Range<usize>) -> &mut [u8] {
        self.rows.room(rows)
    }

    fn put(&mut self, columns: &Range<usize>) {
        self.rows.put(columns);
    }
}

impl ResizedRows {
    fn room(&mut self, rows: Range<usize>) -> &mut [u8] {
        let row_bytes = 3 * self.width;
        let mut first = rows.start;
        if self.held_rows.end == rows.start {
            // Of the rows that are held, those that are still looked at.
            let next = self.filter.windows.get(self.num_resized);
            first = next.map_or(first, |(next, _)| *next).clamp(self.held_rows.start, first);
            let from = (first - self.held_rows.start) * row_bytes;
            self.held.copy_within(from..from + (rows.start - first) * row_bytes, 0);
        }
        self.held_rows = first..rows.end;
        let end = self.held_rows.len() * row_bytes;
        if self.held.len() < end {
            self.held.resize(end, 0);
        }
        &mut self.held[(rows.start - first) * row_bytes..end]
    }

    fn put(&mut self, columns: &Range<usize>) {
        let row_bytes = 3 * self.width;
        let first = self.num_resized;
        let is_there =
            |(first, weights): &&(usize, Range<usize>)| first + weights.len() <= self.held_rows.end;
        let num = self.filter.windows[first..].iter().take_while(is_there).count();
        if num == 0 {
            return;
        }
        self.num_resized += num;
        let columns = 3 * columns.start..3 * columns.end;
        let windows = &self.filter.windows[first..first + num];
        let resized = self.resized.chunks_exact_mut(row_bytes).skip(first);
        for ((first, weights), out) in windows.iter().zip(resized) {
            self.isa.run(WeightedSum {
                weights: &self.filter.weights[weights.clone()],
                precision: self.filter.precision,
                rows: &self.held[(first - self.held_rows.start) * row_bytes..],
                row_bytes,
                columns: columns.clone(),
                out,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use image::RgbImage;
    use proptest::prelude::*;

    use super::*;
    use crate::data::resize::Scratch;

    /// A part of one dimension of an image, between pixels: what is visible of it, and what of that is shown.
    fn spans() -> impl Strategy<Value = (u32, (u32, u32), (f64, f64))> {
        (prop_oneof![1..40u32, 1..900u32], 0.0..1.0f64, 0.0..1.0f64, 0.0..1.0f64, 0.0..1.0f64)
            .prop_map(|(len, first, size, start, part)| {
                let first = (first * f64::from(len)) as u32;
                let size = ((size * f64::from(len - first)) as u32).max(1);
                let start = start * f64::from(size);
                let shown = (part * (f64::from(size) - start)).max(1e-3);
                let start = start.min(f64::from(size) - shown);
                (len, (first, size), (start, shown))
            })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]

        #[test]
        fn rows_as_they_come_give_the_square_of_the_whole_image(
            (width, (left, visible_width), (start, shown_width)) in spans(),
            (height, (top, visible_height), (start_row, shown_height)) in spans(),
            side in prop_oneof![1..20u32, Just(224)],
            strip in 1..20usize,
            seed: u64,
        ) {
            let visible = Rectangle { left, top, width: visible_width, height: visible_height };
            let section = Section {
                visible,
                left: start,
                top: start_row,
                width: shown_width,
                height: shown_height,
                side,
                is_mirrored: seed % 2 == 1,
            };
            let image = RgbImage::from_fn(width, height, |x, y| {
                let place = u64::from(x) | u64::from(y) << 32;
                let bits = (place ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                image::Rgb([bits >> 40, bits >> 48, bits >> 56].map(|bits| bits as u8))
            });
            let mut scratch = Scratch::default();
            let expected = scratch.resize(&image, &section).to_vec();

            let choose = |_, _| section;
            let mut sink = scratch.rows().of(&choose);
            let needed = sink.begin(width, height);
            let (first, end) = (needed.top as usize, (needed.top + needed.height) as usize);
            let columns = needed.left as usize..(needed.left + needed.width) as usize;
            let row_bytes = 3 * width as usize;
            for first in (first..end).step_by(strip) {
                let rows = first..end.min(first + strip);
                let room = sink.room(rows.clone());
                let bytes = 3 * columns.start..3 * columns.end;
                for (out, row) in room.chunks_exact_mut(row_bytes).zip(rows) {
                    let row = &image.as_raw()[row * row_bytes..][bytes.clone()];
                    out[bytes.clone()].copy_from_slice(row);
                }
                sink.put(&columns);
            }
            // Such as are not needed.
            sink.room(height as usize - 1..height as usize).fill(77);
            sink.put(&columns);
            drop(sink);
            scratch.resize_rows(&section);
            prop_assert!(scratch.square() == expected);
        }
    }
}
