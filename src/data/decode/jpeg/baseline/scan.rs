//! Entropy-coded data to pixels, one row of MCUs after the other.

use std::ops::Range;

use pulp::Simd;

use super::bits::Bits;
use super::block::Block;
use super::colour::{grey_to_rgb, ycbcr_to_rgb};
use super::header::Header;
use super::idct::{MAX_COLUMN_SUM, inverse};
use super::part::Part;
use super::plane::Plane;
use super::segments::Segments;
use super::upsample::{mix, widen};
use crate::data::decode::RowSink;
use crate::data::decode::jpeg::{GREY, GREY_UNDER_BLACK};
use crate::kernels::isa::Kernel;

/// The scan of a JPEG, to be decoded.
pub(super) struct Scan<'a> {
    pub(super) header: &'a Header<'a>,
    /// What becomes pixels.
    pub(super) part: &'a Part,
    /// Takes them.
    pub(super) sink: &'a mut dyn RowSink,
    /// Becomes true when all of the data was as it should be.
    pub(super) is_whole: &'a mut bool,
}

impl Kernel for Scan<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        *self.is_whole = decode(simd, self.header, self.part, self.sink).is_some();
    }
}

/// Grey rows at the bottom may be missing ones, which the other decoder tells apart.
const SUSPICIOUS_GREYS: [u8; 2] = [GREY, GREY_UNDER_BLACK];

/// Chroma rows above the row of MCUs of which the next one's pixels are made.
const NUM_KEPT: usize = 2;

#[inline(always)]
fn decode<S: Simd>(simd: S, header: &Header, part: &Part, sink: &mut dyn RowSink) -> Option<()> {
    let segments = Segments::of(header.data, header.num_segments())?;
    let (mcus_across, mcus_down) = header.num_mcus();
    let (_, down) = header.sampling();
    // Pixels between two rows of chroma need both of them, so they come a row of MCUs later.
    let num_kept = if down > 1 { NUM_KEPT } else { 0 };
    let mut planes = Vec::with_capacity(header.components.len());
    let mut tables = Vec::with_capacity(header.components.len());
    for component in &header.components {
        let (across, down) = (component.across, component.down);
        planes.push(Plane::new(across * mcus_across, down, num_kept * down));
        tables.push(header.tables(component)?);
    }
    let mut rows = Rows::new(header, part);
    let mut dc_coefficients = [0; 3];
    let mut block = Block::EMPTY;
    let mut sums = [0; 8];
    let mut bits = Bits::new(&segments.data, 0);
    let mut ends = segments.ends.iter();
    let mut end = *ends.next()?;
    let mut num_left = header.restart_interval;

    for mcu_row in 0..mcus_down {
        let has_row = part.has_row(mcu_row);
        for mcu in 0..mcus_across {
            if header.restart_interval > 0 {
                if num_left == 0 {
                    check_end(&bits, end)?;
                    bits = Bits::new(&segments.data, end);
                    end = *ends.next()?;
                    dc_coefficients = [0; 3];
                    num_left = header.restart_interval;
                }
                num_left -= 1;
            }
            let is_wanted = has_row && part.has_column(mcu);
            let parts =
                header.components.iter().zip(&mut planes).zip(&tables).zip(&mut dc_coefficients);
            for (((component, plane), &(quantizers, tables)), dc) in parts {
                for down in 0..component.down {
                    for across in 0..component.across {
                        block.read(&mut bits, tables, dc)?;
                        if !is_wanted {
                            continue;
                        }
                        let samples = inverse(simd, &block, quantizers, &mut sums);
                        plane.put(mcu * component.across + across, down, &samples);
                    }
                }
            }
        }
        // Behind the end come zeros, which may be codes.
        if bits.position() > 8 * end || sums.iter().any(|&sum| sum > MAX_COLUMN_SUM) {
            return None;
        }
        if has_row {
            let pixels = sink.room(rows.of(mcu_row));
            rows.write(simd, &planes, mcu_row, pixels);
            if mcu_row + 1 == mcus_down && rows.ends_grey(pixels) {
                return None;
            }
            sink.put(&part.columns);
        }
        planes.iter_mut().for_each(Plane::keep_last_rows);
    }
    check_end(&bits, end)
}

/// Less than a byte may be left, which the encoder had to fill.
#[inline(always)]
fn check_end(bits: &Bits, end: usize) -> Option<()> {
    (bits.position().div_ceil(8) == end).then_some(())
}

/// Makes pixels of samples.
struct Rows {
    width: usize,
    height: usize,
    /// Those of a row that are made.
    columns: Range<usize>,
    across: usize,
    down: usize,
    num_kept: usize,
    mcus_down: usize,
    /// A row of chroma between two rows.
    between: Vec<u8>,
    /// A row of chroma with a sample for each pixel: Cb, Cr.
    wide: [Vec<u8>; 2],
}

impl Rows {
    fn new(header: &Header, part: &Part) -> Self {
        let (across, down) = header.sampling();
        let (mcus_across, mcus_down) = header.num_mcus();
        let num_kept = if down > 1 { NUM_KEPT } else { 0 };
        let len = (mcus_across * across * 8).next_multiple_of(super::plane::ALIGNMENT);
        let [between, cb, cr] = [const { Vec::new() }; 3].map(|_: Vec<u8>| vec![0; len]);
        Rows {
            width: header.width,
            height: header.height,
            columns: part.columns.clone(),
            across,
            down,
            num_kept,
            mcus_down,
            between,
            wide: [cb, cr],
        }
    }

    /// Rows of chroma, counted in the planes, whose pixels can be told once this row of MCUs is there. All but the
    /// last one have a row below them.
    #[inline(always)]
    fn of_chroma(&self, mcu_row: usize) -> Range<usize> {
        let is_last = mcu_row + 1 == self.mcus_down;
        match self.num_kept {
            0 => 0..8,
            kept => kept - usize::from(mcu_row > 0)..kept + if is_last { 8 } else { 7 },
        }
    }

    /// Rows of pixels that can be told.
    #[inline(always)]
    fn of(&self, mcu_row: usize) -> Range<usize> {
        let Range { start, end } = self.of_chroma(mcu_row);
        let row = |of_chroma| (mcu_row * 8 + of_chroma - self.num_kept) * self.down;
        row(start).min(self.height)..row(end).min(self.height)
    }

    /// Whether the last of some rows of pixels is grey.
    fn ends_grey(&self, pixels: &[u8]) -> bool {
        let last = pixels.rchunks_exact(3 * self.width).next().unwrap_or_default();
        let last = &last[3 * self.columns.start..3 * self.columns.end];
        SUSPICIOUS_GREYS.iter().any(|grey| last.iter().all(|sample| sample == grey))
    }

    /// Writes the rows of pixels that can be told once this row of MCUs is there.
    #[inline(always)]
    fn write<S: Simd>(&mut self, simd: S, planes: &[Plane], mcu_row: usize, pixels: &mut [u8]) {
        let is_first = mcu_row == 0;
        let rows = self.of_chroma(mcu_row);
        let top_row = rows.start;
        let mut out = pixels.chunks_exact_mut(3 * self.width);
        for row in rows {
            for part in 0..self.down {
                let Some(out) = out.next() else { return };
                let first = self.columns.start;
                let out = &mut out[3 * first..3 * self.columns.end];
                match planes {
                    [grey] => grey_to_rgb(&grey.row(row)[first..], out),
                    [y, cb, cr] => {
                        let far = match part {
                            _ if self.down == 1 => row,
                            0 if is_first && row == top_row => row,
                            0 => row - 1,
                            _ if row + 1 == self.num_kept + 8 => row,
                            _ => row + 1,
                        };
                        let [wide_cb, wide_cr] = &mut self.wide;
                        let sampling = (self.across, self.down);
                        let cb = upsampled(cb, sampling, row, far, &mut self.between, wide_cb);
                        let cr = upsampled(cr, sampling, row, far, &mut self.between, wide_cr);
                        let y = &y.row(row * self.down + part)[first..];
                        ycbcr_to_rgb(simd, y, &cb[first..], &cr[first..], out);
                    }
                    _ => {}
                }
            }
        }
    }
}

/// A row of chroma with a sample for each pixel, made of row `near` and, where pixels lie between
/// two of them, of row `far`.
#[inline(always)]
fn upsampled<'a>(
    plane: &'a Plane,
    sampling: (usize, usize),
    near: usize,
    far: usize,
    between: &mut [u8],
    wide: &'a mut [u8],
) -> &'a [u8] {
    match sampling {
        (1, 1) => plane.row(near),
        (1, _) => {
            mix(plane.row(near), plane.row(far), wide);
            wide
        }
        (_, 1) => {
            widen(plane.row(near), plane.width(), wide);
            wide
        }
        _ => {
            mix(plane.row(near), plane.row(far), between);
            widen(between, plane.width(), wide);
            wide
        }
    }
}
