//! Numbers of a checkpoint, written as the bytes they are.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde::ser::{Serialize, Serializer};

/// Serde takes a `Vec<f32>` number by number; this one goes as a whole, little-endian.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Floats(pub(super) Vec<f32>);

impl Serialize for Floats {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut bytes = vec![0; 4 * self.0.len()];
        for (bytes, value) in bytes.as_chunks_mut().0.iter_mut().zip(&self.0) {
            *bytes = value.to_le_bytes();
        }
        serializer.serialize_bytes(&bytes)
    }
}

impl<'de> Deserialize<'de> for Floats {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_bytes(Bytes)
    }
}

struct Bytes;

impl Visitor<'_> for Bytes {
    type Value = Floats;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("numbers of four bytes each")
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Floats, E> {
        let (values, rest) = bytes.as_chunks();
        if !rest.is_empty() {
            return Err(E::invalid_length(bytes.len(), &self));
        }
        Ok(Floats(values.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_back_bit_by_bit_and_no_part_of_one() {
        let floats = Floats(vec![-0.0, f32::MIN_POSITIVE / 2.0, f32::INFINITY, 1.5]);
        let mut bytes = postcard::to_stdvec(&floats).unwrap();
        assert_eq!(bytes.len(), 1 + 16);
        let read: Floats = postcard::from_bytes(&bytes).unwrap();
        let bits =
            |floats: &Floats| floats.0.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&read), bits(&floats));
        bytes[0] -= 1;
        assert!(postcard::from_bytes::<Floats>(&bytes).is_err());
    }
}
