//! Where the parts of a JPEG file lie.

use std::ops::Range;

pub(super) const SOI: [u8; 2] = [0xff, 0xd8];
pub(super) const EOI: [u8; 2] = [0xff, 0xd9];
const START_OF_FRAME_PROGRESSIVE: u8 = 0xc2;
const START_OF_SCAN: u8 = 0xda;

/// The parts of a JPEG that tell what is missing from it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) is_progressive: bool,
    /// All that follows the header of the first scan, up to the end marker. Empty when there is
    /// nothing.
    pub(super) data: Range<usize>,
    /// Where a scan's data ends and a segment of tables or the next scan's header begins.
    pub(super) scan_ends: Vec<usize>,
    /// Whether there is an end marker. That of an embedded thumbnail does not count.
    pub(super) has_end: bool,
}

impl Layout {
    /// Follows the markers; what lies in segments and after the end marker is not looked at.
    pub(super) fn of(bytes: &[u8]) -> Layout {
        let nothing = bytes.len()..bytes.len();
        let mut layout =
            Layout { is_progressive: false, data: nothing, scan_ends: Vec::new(), has_end: false };
        let mut position = SOI.len();
        let mut num_scans = 0;
        let mut in_scan = false;
        while let Some((start, marker)) = next_marker(bytes, position) {
            if marker == EOI[1] {
                layout.data.end = start;
                layout.data.start = layout.data.start.min(start);
                layout.has_end = num_scans > 0;
                break;
            }
            let Some(length) = segment_length(bytes, start) else { break };
            position = start + 2 + length;
            layout.is_progressive |= marker == START_OF_FRAME_PROGRESSIVE;
            if in_scan {
                layout.scan_ends.push(start);
            }
            in_scan = marker == START_OF_SCAN;
            if in_scan {
                num_scans += 1;
            }
            if in_scan && num_scans == 1 {
                layout.data.start = position.min(bytes.len());
            }
        }
        layout
    }
}

/// The next marker that ends entropy-coded data, at or after `position`: its offset and code.
/// Stuffed and fill bytes, restart markers and stray bytes are passed over.
fn next_marker(bytes: &[u8], mut position: usize) -> Option<(usize, u8)> {
    loop {
        position += bytes.get(position..)?.iter().position(|&byte| byte == 0xff)?;
        match *bytes.get(position + 1)? {
            0xff => position += 1,
            0x00 | 0x01 | 0xd0..=0xd7 => position += 2,
            marker => return Some((position, marker)),
        }
    }
}

/// Length of the segment whose marker is at `start`, the two length bytes included.
fn segment_length(bytes: &[u8], start: usize) -> Option<usize> {
    let length = bytes.get(start + 2..start + 4)?;
    Some(usize::from(u16::from_be_bytes([length[0], length[1]])))
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMENT_WITH_END: [u8; 6] = [0xff, 0xfe, 0, 4, 0xff, 0xd9];
    const SCAN: [u8; 4] = [0xff, 0xda, 0, 2];

    fn layout(parts: &[&[u8]]) -> Layout {
        Layout::of(&parts.concat())
    }

    #[test]
    fn the_data_lies_between_the_first_scans_header_and_the_end_marker() {
        let layout =
            layout(&[&SOI, &COMMENT_WITH_END, &SCAN, &[1, 0xff, 0, 0xff, 0xd3], &EOI, &[9]]);
        let expected =
            Layout { is_progressive: false, data: 12..17, scan_ends: vec![], has_end: true };
        assert_eq!(layout, expected);
    }

    #[test]
    fn every_scan_ends_at_the_next_segment() {
        let frame = [0xff, 0xc2, 0, 2];
        let tables = [0xff, 0xc4, 0, 2];
        let layout = layout(&[&SOI, &frame, &SCAN, &[1], &tables, &SCAN, &[2], &SCAN, &[3]]);
        let expected =
            Layout { is_progressive: true, data: 10..25, scan_ends: vec![11, 20], has_end: false };
        assert_eq!(layout, expected);
    }

    #[test]
    fn a_file_without_a_scan_has_no_data() {
        for parts in [&[&SOI[..]][..], &[&SOI, &EOI], &[&SOI, &SCAN[..3]], &[&SOI, &SCAN, &EOI]] {
            assert!(layout(parts).data.is_empty());
        }
    }
}
