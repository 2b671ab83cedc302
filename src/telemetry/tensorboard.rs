//! Event files that TensorBoard reads: `Event` messages of tensorflow's event.proto in the framing of
//! its TFRecord files.

use prost::Message;

use super::event::Event;

/// What the first record of every file says.
const FILE_VERSION: &str = "brain.Event:2";

/// tensorflow/core/util/event.proto, the fields that are used.
#[derive(Clone, PartialEq, Message)]
struct EventProto {
    /// Seconds since 1970.
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(string, optional, tag = "3")]
    file_version: Option<String>,
    #[prost(message, optional, tag = "5")]
    summary: Option<Summary>,
}

/// tensorflow/core/framework/summary.proto
#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    values: Vec<Value>,
}

/// `Summary.Value` of the same file. The figure is always written, also where it is zero.
#[derive(Clone, PartialEq, Message)]
struct Value {
    #[prost(string, tag = "1")]
    tag: String,
    #[prost(float, optional, tag = "2")]
    simple_value: Option<f32>,
}

/// The name of a file that begins at `seconds` since 1970. TensorBoard takes any file whose name has
/// `tfevents` in it, in the order of names.
pub(super) fn file_name(seconds: i64, host: &str, pid: u32) -> String {
    format!("events.out.tfevents.{seconds:010}.{host}.{pid}")
}

/// The first record, of a file that begins with `event`.
pub(super) fn header(event: &Event) -> Vec<u8> {
    frame(&EventProto {
        wall_time: wall_time(event),
        file_version: Some(FILE_VERSION.into()),
        ..EventProto::default()
    })
}

/// All curves' points of an event in one record; nothing for an event without any.
pub(super) fn record(event: &Event) -> Vec<u8> {
    let values: Vec<Value> = event
        .scalars()
        .iter()
        .filter_map(|scalar| {
            let tag = scalar.tag?.to_owned();
            Some(Value { tag, simple_value: Some(scalar.value as f32) })
        })
        .collect();
    if values.is_empty() {
        return Vec::new();
    }
    frame(&EventProto {
        wall_time: wall_time(event),
        step: event.step(),
        summary: Some(Summary { values }),
        ..EventProto::default()
    })
}

fn wall_time(event: &Event) -> f64 {
    event.time.as_millisecond() as f64 / 1e3
}

/// Length, its checksum, the message, its checksum; little-endian.
fn frame(event: &EventProto) -> Vec<u8> {
    let data = event.encode_to_vec();
    let length = (data.len() as u64).to_le_bytes();
    let mut record = length.to_vec();
    record.extend(masked_crc(&length));
    record.extend(&data);
    record.extend(masked_crc(&data));
    record
}

/// CRC-32C, rotated by 15 bits, plus a constant: tensorflow/core/lib/hash/crc32c.h.
fn masked_crc(bytes: &[u8]) -> [u8; 4] {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}
