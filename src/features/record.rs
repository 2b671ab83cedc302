//! What is stored of one image, as it lies on disk.
//!
//! ```text
//! magic [4] | view u32 | BLAKE3 of the image file [32] | row | XXH3-64 of all that
//! ```
//!
//! The row is the image's features, `[2048]` f32, or its activations where layer4 begins,
//! `[14, 14, 1024]` bf16.
//!
//! Numbers are little-endian. All records have the same length, so the place of one does not depend
//! on the health of those before it.

use std::marker::PhantomData;

use xxhash_rust::xxh3::xxh3_64;

use crate::config::NUM_FEATURES;
use crate::model::resnet::LAYER4_INPUT_LEN;

/// No float and no text begins like this; neither does a block of zeros.
const MAGIC: [u8; 4] = *b"\xf5ft1";
const KEY_BYTES: usize = MAGIC.len() + size_of::<u32>() + blake3::OUT_LEN;
const CHECKSUM_BYTES: usize = size_of::<u64>();

/// What a stored row consists of, which tells what the row is.
pub trait Element: Copy {
    /// Elements of a row.
    const ROW_LEN: usize;
    /// How the names of the files begin that hold such rows.
    const FILE_PREFIX: &'static str;
    /// Length of every record.
    const RECORD_BYTES: usize = KEY_BYTES + Self::ROW_LEN * size_of::<Self>() + CHECKSUM_BYTES;

    /// Writes the little-endian bytes of `row`.
    fn write(row: &[Self], bytes: &mut [u8]);

    /// Reads them back.
    fn read(bytes: &[u8], row: &mut [Self]);
}

/// Features.
impl Element for f32 {
    const ROW_LEN: usize = NUM_FEATURES;
    const FILE_PREFIX: &'static str = "features-";

    fn write(row: &[f32], bytes: &mut [u8]) {
        for (field, value) in bytes.as_chunks_mut().0.iter_mut().zip(row) {
            *field = value.to_le_bytes();
        }
    }

    fn read(bytes: &[u8], row: &mut [f32]) {
        for (value, field) in row.iter_mut().zip(bytes.as_chunks().0) {
            *value = f32::from_le_bytes(*field);
        }
    }
}

/// Activations: the bits of bf16.
impl Element for u16 {
    const ROW_LEN: usize = LAYER4_INPUT_LEN;
    const FILE_PREFIX: &'static str = "activations-";

    fn write(row: &[u16], bytes: &mut [u8]) {
        for (field, value) in bytes.as_chunks_mut().0.iter_mut().zip(row) {
            *field = value.to_le_bytes();
        }
    }

    fn read(bytes: &[u8], row: &mut [u16]) {
        for (value, field) in row.iter_mut().zip(bytes.as_chunks().0) {
            *value = u16::from_le_bytes(*field);
        }
    }
}

/// Whose features they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key {
    /// BLAKE3 of the image file.
    pub(super) content: [u8; blake3::OUT_LEN],
    /// Which view of the image.
    pub(super) view: u32,
}

/// The bytes of a record, whole or not.
pub(super) struct Record<E>(Vec<u8>, PhantomData<E>);

impl<E: Element> Record<E> {
    /// For the bytes to be read into.
    pub(super) fn empty() -> Self {
        Record(vec![0; E::RECORD_BYTES], PhantomData)
    }

    /// # Panics
    /// When `row` is not of the length of its kind.
    pub(super) fn new(key: &Key, row: &[E]) -> Self {
        assert_eq!(row.len(), E::ROW_LEN, "a row of features");
        let mut record = Record::empty();
        let (body, checksum) = record.0.split_at_mut(E::RECORD_BYTES - CHECKSUM_BYTES);
        body[..4].copy_from_slice(&MAGIC);
        body[4..8].copy_from_slice(&key.view.to_le_bytes());
        body[8..KEY_BYTES].copy_from_slice(&key.content);
        E::write(row, &mut body[KEY_BYTES..]);
        checksum.copy_from_slice(&xxh3_64(body).to_le_bytes());
        record
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }

    /// Whose row this is. `None` when any byte is not what was written.
    pub(super) fn key(&self) -> Option<Key> {
        let (body, checksum) = self.0.split_at(E::RECORD_BYTES - CHECKSUM_BYTES);
        let rest = body.strip_prefix(&MAGIC)?;
        if xxh3_64(body).to_le_bytes() != checksum {
            return None;
        }
        let (view, rest) = rest.split_first_chunk()?;
        Some(Key { content: *rest.first_chunk()?, view: u32::from_le_bytes(*view) })
    }

    /// Writes the row to `row`, bit by bit.
    pub(super) fn copy_to(&self, row: &mut [E]) {
        E::read(&self.0[KEY_BYTES..E::RECORD_BYTES - CHECKSUM_BYTES], row);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_lies_on_disk_as_described() {
        let key = Key { content: [7; 32], view: 0x0102_0304 };
        let mut row = [0.0; NUM_FEATURES];
        row[0] = 1.0;
        let record = Record::new(&key, &row);
        assert_eq!(record.bytes().len(), 4 + 4 + 32 + 8192 + 8);
        assert_eq!(record.bytes()[..8], [0xf5, b'f', b't', b'1', 4, 3, 2, 1]);
        assert_eq!(record.bytes()[8..44], [[7; 32].as_slice(), &[0, 0, 0x80, 0x3f]].concat());
        assert_eq!(record.key(), Some(key));
    }

    #[test]
    fn activations_are_read_back_bit_by_bit() {
        let key = Key { content: [7; 32], view: 2 };
        let row: Vec<u16> = (0..LAYER4_INPUT_LEN).map(|index| (index * 31) as u16).collect();
        let record = Record::new(&key, &row);
        assert_eq!(record.bytes().len(), 40 + 14 * 14 * 1024 * 2 + 8);
        assert_eq!(record.key(), Some(key));
        let mut found = vec![0; row.len()];
        record.copy_to(&mut found);
        assert_eq!(found, row);
    }

    #[test]
    fn a_record_with_any_byte_changed_is_nobodys() {
        let mut record = Record::new(&Key { content: [7; 32], view: 1 }, &[0.5; NUM_FEATURES]);
        for index in 0..record.0.len() {
            record.0[index] ^= 1;
            assert_eq!(record.key(), None, "byte {index}");
            record.0[index] ^= 1;
        }
        assert!(record.key().is_some());
    }

    #[test]
    fn zeros_are_no_record() {
        assert_eq!(Record::<f32>::empty().key(), None);
        assert_eq!(Record::<u16>::empty().key(), None);
    }
}
