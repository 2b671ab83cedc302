//! One image's features as they lie on disk.
//!
//! ```text
//! magic [4] | view u32 | BLAKE3 of the image file [32] | features [2048] f32 | XXH3-64 of all that
//! ```
//!
//! Numbers are little-endian. All records have the same length, so the place of one does not depend
//! on the health of those before it.

use xxhash_rust::xxh3::xxh3_64;

use crate::config::NUM_FEATURES;

/// No float and no text begins like this; neither does a block of zeros.
const MAGIC: [u8; 4] = *b"\xf5ft1";
const KEY_BYTES: usize = MAGIC.len() + size_of::<u32>() + blake3::OUT_LEN;
const CHECKSUM_BYTES: usize = size_of::<u64>();
/// Length of every record.
pub(super) const RECORD_BYTES: usize = KEY_BYTES + NUM_FEATURES * size_of::<f32>() + CHECKSUM_BYTES;

/// Whose features they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key {
    /// BLAKE3 of the image file.
    pub(super) content: [u8; blake3::OUT_LEN],
    /// Which view of the image.
    pub(super) view: u32,
}

/// The bytes of a record, whole or not.
pub(super) struct Record([u8; RECORD_BYTES]);

impl Record {
    /// For the bytes to be read into.
    pub(super) fn empty() -> Self {
        Record([0; RECORD_BYTES])
    }

    /// # Panics
    /// When `row` is not `[2048]`.
    pub(super) fn new(key: &Key, row: &[f32]) -> Self {
        assert_eq!(row.len(), NUM_FEATURES, "a row of features");
        let mut record = Record::empty();
        let (body, checksum) = record.0.split_at_mut(RECORD_BYTES - CHECKSUM_BYTES);
        body[..4].copy_from_slice(&MAGIC);
        body[4..8].copy_from_slice(&key.view.to_le_bytes());
        body[8..KEY_BYTES].copy_from_slice(&key.content);
        let (fields, _) = body[KEY_BYTES..].as_chunks_mut::<4>();
        for (field, value) in fields.iter_mut().zip(row) {
            *field = value.to_le_bytes();
        }
        checksum.copy_from_slice(&xxh3_64(body).to_le_bytes());
        record
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }

    /// Whose features these are. `None` when any byte is not what was written.
    pub(super) fn key(&self) -> Option<Key> {
        let (body, checksum) = self.0.split_at(RECORD_BYTES - CHECKSUM_BYTES);
        let rest = body.strip_prefix(&MAGIC)?;
        if xxh3_64(body).to_le_bytes() != checksum {
            return None;
        }
        let (view, rest) = rest.split_first_chunk()?;
        Some(Key { content: *rest.first_chunk()?, view: u32::from_le_bytes(*view) })
    }

    /// Writes the features to `row`, `[2048]`, bit by bit.
    pub(super) fn copy_to(&self, row: &mut [f32]) {
        let (fields, _) = self.0[KEY_BYTES..RECORD_BYTES - CHECKSUM_BYTES].as_chunks();
        for (value, field) in row.iter_mut().zip(fields) {
            *value = f32::from_le_bytes(*field);
        }
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
    fn a_record_with_any_byte_changed_is_nobodys() {
        let mut record = Record::new(&Key { content: [7; 32], view: 1 }, &[0.5; NUM_FEATURES]);
        for index in 0..RECORD_BYTES {
            record.0[index] ^= 1;
            assert_eq!(record.key(), None, "byte {index}");
            record.0[index] ^= 1;
        }
        assert!(record.key().is_some());
    }

    #[test]
    fn zeros_are_no_record() {
        assert_eq!(Record::empty().key(), None);
    }
}
