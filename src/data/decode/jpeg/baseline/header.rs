//! What a JPEG's header says.

use super::block::PLACES;
use super::huffman::{Kind, Table};
use crate::data::decode::MAX_SIDE;
use crate::data::decode::jpeg::layout::SOI;

/// Table numbers go from 0 to 3.
const NUM_TABLES: usize = 4;
/// Bytes of a quantization table, its number included.
const QUANTIZERS_LEN: usize = 1 + 64;

/// The header of a JPEG that the decoder here can decode.
#[derive(Debug)]
pub(super) struct Header<'a> {
    /// Pixels, from 1 to [`MAX_SIDE`].
    pub(super) width: usize,
    pub(super) height: usize,
    /// Grey, or Y, Cb and Cr.
    pub(super) components: Vec<Component>,
    dc_tables: [Option<Box<Table>>; NUM_TABLES],
    ac_tables: [Option<Box<Table>>; NUM_TABLES],
    quantizers: [Option<[i16; 64]>; NUM_TABLES],
    /// Huffman tables that were made, those that others replaced included.
    num_made: usize,
    is_adobe: bool,
    /// MCUs from one restart to the next; 0: there are none.
    pub(super) restart_interval: usize,
    /// What follows the header.
    pub(super) data: &'a [u8],
}

/// How one of the colours is stored.
#[derive(Debug)]
pub(super) struct Component {
    id: u8,
    /// Blocks side by side in an MCU: 1 or 2.
    pub(super) across: usize,
    /// Blocks one below the other in an MCU: 1 or 2.
    pub(super) down: usize,
    quantizers: usize,
    dc_table: usize,
    ac_table: usize,
}

impl<'a> Header<'a> {
    /// `None` when the decoder here cannot decode what follows.
    pub(super) fn of(bytes: &'a [u8]) -> Option<Self> {
        let mut header = Header {
            width: 0,
            height: 0,
            components: Vec::new(),
            dc_tables: Default::default(),
            ac_tables: Default::default(),
            quantizers: [None; NUM_TABLES],
            num_made: 0,
            is_adobe: false,
            restart_interval: 0,
            data: bytes.strip_prefix(&SOI)?,
        };
        loop {
            let (&[0xff, marker, high, low], _) = header.data.split_first_chunk()? else {
                return None;
            };
            let length = usize::from(u16::from_be_bytes([high, low]));
            let segment = header.data.get(4..2 + length)?;
            header.data = &header.data[2 + length..];
            match marker {
                0xc0 | 0xc1 => header.read_frame(segment)?,
                0xc4 => header.read_tables(segment)?,
                0xda => {
                    header.read_scan(segment)?;
                    return header.is_usual().then_some(header);
                }
                0xdb => header.read_quantizers(segment)?,
                0xdd => {
                    let interval: &[u8; 2] = segment.try_into().ok()?;
                    header.restart_interval = usize::from(u16::from_be_bytes(*interval));
                }
                // Motion JPEG has tables of its own.
                0xe0 if segment.starts_with(b"AVI1") => return None,
                0xe1 if segment.starts_with(b"http://ns.adobe.com/xmp/extension/") => return None,
                0xee => header.read_adobe(segment)?,
                // Applications' segments and comments.
                0xe0..=0xef | 0xfe => {}
                _ => return None,
            }
        }
    }

    /// MCUs side by side, MCUs one below the other.
    pub(super) fn num_mcus(&self) -> (usize, usize) {
        let (across, down) = self.sampling();
        (self.width.div_ceil(8 * across), self.height.div_ceil(8 * down))
    }

    /// Most blocks of a component that an MCU holds: side by side, one below the other.
    pub(super) fn sampling(&self) -> (usize, usize) {
        self.components.first().map_or((1, 1), |first| (first.across, first.down))
    }

    /// Parts into which restarts divide the data.
    pub(super) fn num_segments(&self) -> usize {
        let (across, down) = self.num_mcus();
        match self.restart_interval {
            0 => 1,
            interval => (across * down).div_ceil(interval),
        }
    }

    /// Of a component: quantizers at the places of a block, the Huffman tables of its two kinds of
    /// coefficients.
    pub(super) fn tables(&self, component: &Component) -> Option<(&[i16; 64], [&Table; 2])> {
        let quantizers = self.quantizers.get(component.quantizers)?.as_ref()?;
        let dc = self.dc_tables.get(component.dc_table)?.as_deref()?;
        let ac = self.ac_tables.get(component.ac_table)?.as_deref()?;
        Some((quantizers, [dc, ac]))
    }

    /// Whether the colours are stored as they usually are.
    fn is_usual(&self) -> bool {
        let sampling = |component: &Component| (component.across, component.down);
        match &self.components[..] {
            [grey] => sampling(grey) == (1, 1) && !self.is_adobe,
            [y, cb, cr] => {
                matches!(sampling(y), (1 | 2, 1 | 2))
                    && sampling(cb) == (1, 1)
                    && sampling(cr) == (1, 1)
                    && [y.id, cb.id, cr.id] != *b"RGB"
                    && y.id != cb.id
                    && cb.id != cr.id
                    && cr.id != y.id
            }
            _ => false,
        }
    }

    fn read_frame(&mut self, segment: &[u8]) -> Option<()> {
        let (&[8, y1, y0, x1, x0, num_components], components) = segment.split_first_chunk()?
        else {
            return None;
        };
        let (components, []) = components.as_chunks::<3>() else { return None };
        let height = u16::from_be_bytes([y1, y0]);
        let width = u16::from_be_bytes([x1, x0]);
        let is_first = self.components.is_empty();
        let is_right_size =
            [width, height].iter().all(|&side| (1..=MAX_SIDE).contains(&side.into()));
        if !is_first || !is_right_size || components.len() != usize::from(num_components) {
            return None;
        }
        (self.width, self.height) = (width.into(), height.into());
        self.components.extend(components.iter().map(|&[id, sampling, quantizers]| Component {
            id,
            across: usize::from(sampling >> 4),
            down: usize::from(sampling & 15),
            quantizers: quantizers.into(),
            dc_table: 0,
            ac_table: 0,
        }));
        Some(())
    }

    fn read_tables(&mut self, mut segment: &[u8]) -> Option<()> {
        while !segment.is_empty() {
            // No JPEG needs more, and it takes longer to make one than to read it.
            if self.num_made == 2 * NUM_TABLES {
                return None;
            }
            self.num_made += 1;
            let (&number, rest) = segment.split_first()?;
            let (counts, rest) = rest.split_first_chunk::<16>()?;
            let num_symbols = counts.iter().map(|&count| usize::from(count)).sum();
            let (symbols, rest) = rest.split_at_checked(num_symbols)?;
            let (kind, tables) = match number >> 4 {
                0 => (Kind::Dc, &mut self.dc_tables),
                1 => (Kind::Ac, &mut self.ac_tables),
                _ => return None,
            };
            let table = tables.get_mut(usize::from(number & 15))?;
            *table = Some(Table::new(kind, counts, symbols)?);
            segment = rest;
        }
        Some(())
    }

    /// Only of 8 bits, and none of them 0.
    fn read_quantizers(&mut self, segment: &[u8]) -> Option<()> {
        let (tables, []) = segment.as_chunks::<QUANTIZERS_LEN>() else { return None };
        for [number, quantizers @ ..] in tables {
            let table = self.quantizers.get_mut(usize::from(*number))?;
            if quantizers.contains(&0) {
                return None;
            }
            let mut ordered = [0; 64];
            for (&quantizer, &place) in quantizers.iter().zip(&PLACES) {
                ordered[usize::from(place)] = quantizer.into();
            }
            *table = Some(ordered);
        }
        Some(())
    }

    /// The scan must be of all components, in their order.
    fn read_scan(&mut self, segment: &[u8]) -> Option<()> {
        let (&num_components, rest) = segment.split_first()?;
        let (selected, [0, 63, 0]) = rest.split_at_checked(rest.len().checked_sub(3)?)? else {
            return None;
        };
        let (selected, []) = selected.as_chunks::<2>() else { return None };
        let counts = [usize::from(num_components), self.components.len()];
        if counts.iter().any(|&count| count != selected.len()) {
            return None;
        }
        for (component, &[id, tables]) in self.components.iter_mut().zip(selected) {
            if component.id != id {
                return None;
            }
            component.dc_table = usize::from(tables >> 4);
            component.ac_table = usize::from(tables & 15);
        }
        Some(())
    }

    /// What Adobe's programs say of the colours must be what holds without them.
    fn read_adobe(&mut self, segment: &[u8]) -> Option<()> {
        self.is_adobe = true;
        let is_ycbcr = segment.starts_with(b"Adobe") && segment.get(11) == Some(&1);
        is_ycbcr.then_some(())
    }
}
