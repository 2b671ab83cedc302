//! The zip format, `torch.save`'s default since PyTorch 1.6.

use std::io::{Read, Seek, SeekFrom};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crc32fast::Hasher;
use rayon::prelude::*;
use zip::{CompressionMethod, ZipArchive};

use super::assembly::{Assembly, MAX_TENSOR_BYTES};
use super::fault::{Fault, Result};
use super::shared_file::SharedFile;
use super::{StateDict, checkpoint, pickle};

/// Far above a real one (ResNet50: 50 kB), far below what would hurt.
const MAX_PICKLE_BYTES: u64 = 16 << 20;

/// What a plain zip can declare; a zip64 may declare more than memory holds.
const MAX_ENTRIES: u64 = 0xffff;

/// Bytes read at once.
const PIECE: usize = 1 << 16;

/// Reads a file of `file_bytes` bytes, its blocks on all threads.
pub(super) fn read(file: SharedFile, file_bytes: u64) -> Result<StateDict> {
    let mut archive = Archive::open(file, file_bytes)?;
    let data = archive.read_pickle()?;
    let pickle = pickle::read(&data)?;
    let views = checkpoint::tensors(&pickle.heap, pickle.root)?;
    let mut assembly = Assembly::plan(views, file_bytes)?;
    let keys = assembly.missing_blocks();
    let blocks: Vec<Result<Vec<u8>>> = keys
        .par_iter()
        .map_init(|| archive.clone(), |archive, key| archive.read_block(key))
        .collect();
    for (key, block) in keys.into_iter().zip(blocks) {
        assembly.supply(key, block?)?;
    }
    assembly.finish()
}

/// Each thread reads from a clone of its own.
#[derive(Debug, Clone)]
pub(super) struct Archive {
    file: SharedFile,
    zip: ZipArchive<SharedFile>,
    /// Holds everything, named after the file or `archive`.
    folder: Arc<str>,
    /// What all entries together may still take: they are stored as they are, so honest ones cannot
    /// exceed the file.
    bytes_left: Arc<AtomicU64>,
}

impl Archive {
    /// Of a file of `file_bytes` bytes that torch.save wrote on a little-endian machine.
    pub(super) fn open(mut file: SharedFile, file_bytes: u64) -> Result<Self> {
        check_directory(&mut file, file_bytes)?;
        let zip = ZipArchive::new(file.clone())?;
        let folder = folder(&zip)?;
        let mut archive = Archive { file, zip, folder, bytes_left: Arc::new(file_bytes.into()) };
        if let Some(order) = archive.read("byteorder", 16)?
            && order != b"little"
        {
            return Err(Fault::Refused(format!(
                "its numbers are {}-endian: save it again on a little-endian machine",
                order.escape_ascii()
            )));
        }
        Ok(archive)
    }

    /// What describes the tensors.
    pub(super) fn read_pickle(&mut self) -> Result<Vec<u8>> {
        self.read("data.pkl", MAX_PICKLE_BYTES)?
            .ok_or_else(|| Fault::damaged("data.pkl is missing"))
    }

    /// The block called `key`.
    pub(super) fn read_block(&mut self, key: &str) -> Result<Vec<u8>> {
        self.read(&format!("data/{key}"), MAX_TENSOR_BYTES)?.ok_or_else(|| missing(key))
    }

    /// The content of an entry of at most `max_bytes` bytes, its checksum verified; none when there
    /// is no such entry.
    fn read(&mut self, name: &str, max_bytes: u64) -> Result<Option<Vec<u8>>> {
        let Some(mut entry) = self.open_entry(name)? else { return Ok(None) };
        let size = entry.num_left;
        let take = |left: u64| left.checked_sub(size).filter(|_| size <= max_bytes);
        if self.bytes_left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_err() {
            let shown = entry.name.escape_default();
            return Err(Fault::Damaged(format!("{shown} declares {size} bytes")));
        }
        let mut content = vec![0; size as usize];
        entry.read(&mut content)?;
        Ok(Some(content))
    }

    /// The block called `key`, to be read piece by piece.
    pub(super) fn open_block(&mut self, key: &str) -> Result<EntryReader> {
        self.open_entry(&format!("data/{key}"))?.ok_or_else(|| missing(key))
    }

    fn open_entry(&mut self, name: &str) -> Result<Option<EntryReader>> {
        let name = format!("{}/{name}", self.folder);
        let Some(index) = self.zip.index_for_name(&name) else { return Ok(None) };
        let entry = self.zip.by_index(index)?;
        let num_left = entry.size();
        let start = match entry.data_start() {
            Some(start)
                if entry.compression() == CompressionMethod::Stored
                    && entry.compressed_size() == num_left =>
            {
                start
            }
            _ => {
                let shown = name.escape_default();
                return Err(Fault::Refused(format!(
                    "{shown} is compressed, which torch.save never does"
                )));
            }
        };
        let checksum = entry.crc32();
        drop(entry);
        let mut file = self.file.clone();
        file.seek(SeekFrom::Start(start))?;
        Ok(Some(EntryReader { name, file, num_left, hasher: Hasher::new(), checksum }))
    }
}

/// An entry that is read piece by piece.
#[derive(Debug)]
pub(super) struct EntryReader {
    name: String,
    file: SharedFile,
    num_left: u64,
    hasher: Hasher,
    /// CRC-32 of the whole entry.
    checksum: u32,
}

impl EntryReader {
    /// Bytes that have not been read.
    pub(super) fn num_left(&self) -> u64 {
        self.num_left
    }

    /// Reads the next bytes, not more than are left. With the last ones the checksum is verified.
    pub(super) fn read(&mut self, bytes: &mut [u8]) -> Result<()> {
        // They are still in the cache when the checksum is taken.
        for piece in bytes.chunks_mut(PIECE) {
            self.file.read_exact(piece).map_err(|error| self.damaged(error.into()))?;
            self.hasher.update(piece);
            self.num_left -= piece.len() as u64;
        }
        if self.num_left == 0 && self.hasher.clone().finalize() != self.checksum {
            return Err(self.damaged(Fault::damaged("Invalid checksum")));
        }
        Ok(())
    }

    fn damaged(&self, fault: Fault) -> Fault {
        match fault {
            Fault::Damaged(reason) => {
                Fault::Damaged(format!("{}: {reason}", self.name.escape_default()))
            }
            other => other,
        }
    }
}

fn missing(key: &str) -> Fault {
    Fault::Damaged(format!("data/{} is missing", key.escape_default()))
}

/// The folder of the only `data.pkl`.
fn folder(zip: &ZipArchive<SharedFile>) -> Result<Arc<str>> {
    let mut folders = zip.file_names().filter_map(|name| {
        let name = name.ok()?;
        let folder = name.strip_suffix("/data.pkl")?;
        (!folder.contains('/')).then(|| Arc::from(folder))
    });
    match (folders.next(), folders.next()) {
        (Some(folder), None) => Ok(folder),
        _ => Err(Fault::refused("a zip file, but not one that torch.save wrote")),
    }
}

/// Refuses a zip64 directory that declares more entries than a state dict has, since opening the
/// archive reserves memory for as many as it declares.
///
/// Every directory end that the archive's reader might settle for is looked at.
fn check_directory(file: &mut (impl Read + Seek), file_bytes: u64) -> Result<()> {
    const END: &[u8] = b"PK\x05\x06";
    const LOCATOR: &[u8] = b"PK\x06\x07";
    const LOCATOR_BYTES: usize = 20;
    const END64_BYTES: u64 = 56;
    // An end record of 22 bytes may be followed by a comment of up to 0xffff.
    let tail_bytes = file_bytes.min(22 + 0xffff + LOCATOR_BYTES as u64);
    let tail_start = file_bytes - tail_bytes;
    file.seek(SeekFrom::Start(tail_start))?;
    let mut tail = Vec::new();
    file.by_ref().take(tail_bytes).read_to_end(&mut tail)?;

    for (place, window) in tail.windows(LOCATOR_BYTES + END.len()).enumerate() {
        if !window.starts_with(LOCATOR) || !window.ends_with(END) {
            continue;
        }
        let end64 = u64_at(window, 8);
        if end64.checked_add(END64_BYTES) != Some(tail_start + place as u64) {
            return Err(Fault::damaged("its zip directory is not where it should be"));
        }
        file.seek(SeekFrom::Start(end64))?;
        let mut record = [0; END64_BYTES as usize];
        file.read_exact(&mut record)?;
        let num_entries = u64_at(&record, 32);
        if num_entries > MAX_ENTRIES {
            return Err(Fault::Damaged(format!(
                "its zip directory declares {num_entries} entries"
            )));
        }
    }
    file.rewind()?;
    Ok(())
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut value = [0; 8];
    value.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(value)
}
