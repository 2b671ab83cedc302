//! The format of `torch.save` before PyTorch 1.6: pickles, then raw blocks.

use std::collections::HashMap;
use std::io::{Read, Seek, SeekFrom};

use super::assembly::{Assembly, MAX_TENSOR_BYTES};
use super::fault::{Fault, Result};
use super::pickle::{Heap, Pickle, Value};
use super::{Dtype, StateDict, checkpoint, pickle};

/// 0x1950a86a20f9469cfc6c, little-endian.
const MAGIC: &[u8] = &[0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

const PROTOCOL_VERSION: i64 = 1001;

/// What all pickles of a file may take; ResNet50's take 60 kB.
const MAX_PICKLE_BYTES: u64 = 16 << 20;

/// Reads `file_bytes` bytes, positioned at their start.
pub(super) fn read(mut file: impl Read + Seek, file_bytes: u64) -> Result<StateDict> {
    let mut head = Vec::new();
    file.by_ref().take(MAX_PICKLE_BYTES).read_to_end(&mut head)?;
    let mut pickles = Pickles { head: &head, position: 0 };
    let magic = pickles.next()?;
    if !matches!(magic.root, Value::BigInt(MAGIC)) {
        return Err(Fault::refused("a pickle, but not one that torch.save wrote"));
    }
    if !matches!(pickles.next()?.root, Value::Int(PROTOCOL_VERSION)) {
        return Err(Fault::damaged("an unknown version of the format"));
    }
    check_byte_order(&pickles.next()?)?;
    let checkpoint = pickles.next()?;
    let keys = pickles.next()?;

    let views = checkpoint::tensors(&checkpoint.heap, checkpoint.root)?;
    let mut assembly = Assembly::plan(views, file_bytes)?;
    let dtypes = block_dtypes(&checkpoint.heap)?;
    let keys = keys.heap.sequence(keys.root).ok_or_else(|| Fault::damaged("no list of blocks"))?;

    let mut position = pickles.position as u64;
    file.seek(SeekFrom::Start(position))?;
    for key in keys {
        let Value::Str(key) = *key else { return Err(Fault::damaged("a block without a name")) };
        let mut length = [0; 8];
        file.read_exact(&mut length)?;
        let dtype = dtypes
            .get(key)
            .ok_or_else(|| Fault::Damaged(format!("block {key:?} is used by nothing")))?;
        position += 8;
        let block_bytes = u64::from_le_bytes(length)
            .checked_mul(dtype.size_bytes() as u64)
            .filter(|&bytes| bytes <= file_bytes.saturating_sub(position))
            .ok_or_else(|| Fault::Damaged(format!("block {key:?} is longer than the file")))?;
        if block_bytes > MAX_TENSOR_BYTES {
            return Err(Fault::Refused(format!("block {key:?} has {block_bytes} bytes")));
        }
        position += block_bytes;
        if assembly.needs(key) {
            let mut block = vec![0; block_bytes as usize];
            file.read_exact(&mut block)?;
            assembly.supply(key, block)?;
        } else {
            file.seek(SeekFrom::Start(position))?;
        }
    }
    assembly.finish()
}

/// The pickles at the start of the file, one after another.
struct Pickles<'a> {
    head: &'a [u8],
    position: usize,
}

impl<'a> Pickles<'a> {
    fn next(&mut self) -> Result<Pickle<'a>> {
        let pickle = pickle::read(&self.head[self.position..])?;
        self.position += pickle.num_bytes;
        Ok(pickle)
    }
}

/// The third pickle is a dict about the machine that wrote the file.
fn check_byte_order(system: &Pickle<'_>) -> Result<()> {
    let entries = system.heap.dict(system.root).unwrap_or_default();
    let little = |(name, value): &(Value, Value)| match (name, value) {
        (Value::Str("little_endian"), Value::Bool(little)) => Some(*little),
        _ => None,
    };
    match entries.iter().find_map(little) {
        Some(true) => Ok(()),
        Some(false) => Err(Fault::refused(
            "its numbers are big-endian: save it again on a little-endian machine",
        )),
        None => Err(Fault::damaged("the byte order is not told")),
    }
}

/// The element type of each block; a block's length is counted in elements.
fn block_dtypes<'a>(heap: &Heap<'a>) -> Result<HashMap<&'a str, Dtype>> {
    let mut dtypes = HashMap::new();
    for storage in heap.storages() {
        let first = *dtypes.entry(storage.key).or_insert(storage.dtype);
        if first != storage.dtype {
            return Err(Fault::Damaged(format!("block {:?} has two element types", storage.key)));
        }
    }
    Ok(dtypes)
}
