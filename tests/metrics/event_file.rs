//! A reader of TensorBoard's event files that shares nothing with the writer.

/// A point of a curve.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    pub tag: String,
    pub step: i64,
    pub value: f32,
}

/// All points of a file, whose framing and checksums are asserted.
pub fn read(bytes: &[u8]) -> Vec<Point> {
    let mut points = Vec::new();
    let mut rest = bytes;
    let mut is_first = true;
    while !rest.is_empty() {
        let (length, after) = rest.split_at(8);
        let (length_crc, after) = after.split_at(4);
        assert_eq!(length_crc, masked_crc(length));
        let (data, after) = after.split_at(u64::from_le_bytes(length.try_into().unwrap()) as usize);
        let (data_crc, after) = after.split_at(4);
        assert_eq!(data_crc, masked_crc(data));
        rest = after;

        let fields = fields(data);
        let wall_time = f64::from_le_bytes(only(&fields, 1).try_into().unwrap());
        // Between 2020 and 2100.
        assert!((1.5e9..4.2e9).contains(&wall_time), "{wall_time}");
        if is_first {
            assert_eq!(only(&fields, 3), b"brain.Event:2");
            is_first = false;
            continue;
        }
        let step = fields.iter().find(|field| field.0 == 2).map_or(0, |field| varint(&field.1).0);
        for (number, value) in self::fields(only(&fields, 5)) {
            assert_eq!(number, 1);
            let value = self::fields(&value);
            points.push(Point {
                tag: String::from_utf8(only(&value, 1).to_vec()).unwrap(),
                step: step as i64,
                value: f32::from_le_bytes(only(&value, 2).try_into().unwrap()),
            });
        }
    }
    points
}

fn only(fields: &[(u64, Vec<u8>)], number: u64) -> &[u8] {
    let found: Vec<_> = fields.iter().filter(|field| field.0 == number).collect();
    assert_eq!(found.len(), 1, "field {number} of {fields:?}");
    &found[0].1
}

/// Number and bytes of each field of a protobuf message.
fn fields(mut message: &[u8]) -> Vec<(u64, Vec<u8>)> {
    let mut fields = Vec::new();
    while !message.is_empty() {
        let (key, length) = varint(message);
        message = &message[length..];
        let length = match key & 7 {
            0 => varint(message).1,
            1 => 8,
            2 => {
                let (size, length) = varint(message);
                message = &message[length..];
                size as usize
            }
            5 => 4,
            wire_type => panic!("wire type {wire_type}"),
        };
        fields.push((key >> 3, message[..length].to_vec()));
        message = &message[length..];
    }
    fields
}

/// The number, and how many bytes it takes.
fn varint(bytes: &[u8]) -> (u64, usize) {
    let length = bytes.iter().position(|byte| byte & 0x80 == 0).unwrap() + 1;
    let number = bytes[..length].iter().rev().fold(0, |n, byte| n << 7 | u64::from(byte & 0x7f));
    (number, length)
}

/// CRC-32C bit by bit, masked as TFRecord files have it.
fn masked_crc(bytes: &[u8]) -> [u8; 4] {
    let mut crc = !0u32;
    for &byte in bytes {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
        }
    }
    let crc = !crc;
    crc.rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

#[test]
fn the_checksum_is_that_of_rfc_3720() {
    // 32 bytes of zeros: aa 36 91 8a, before the mask.
    let unmasked = u32::from_le_bytes(masked_crc(&[0; 32])).wrapping_sub(0xa282_ead8);
    assert_eq!(unmasked.rotate_left(15).to_le_bytes(), [0xaa, 0x36, 0x91, 0x8a]);
}
