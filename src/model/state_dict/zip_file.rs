//! The zip format, `torch.save`'s default since PyTorch 1.6.

use std::io::{Read, Seek, SeekFrom};
use std::sync::atomic::{AtomicU64, Ordering};

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

/// Reads a file of `file_bytes` bytes, its blocks on all threads.
pub(super) fn read(mut file: SharedFile, file_bytes: u64) -> Result<StateDict> {
    check_directory(&mut file, file_bytes)?;
    let bytes_left = AtomicU64::new(file_bytes);
    let mut archive = Archive { zip: ZipArchive::new(file)?, bytes_left: &bytes_left };
    let folder = archive.folder()?;
    if let Some(order) = archive.read(&format!("{folder}/byteorder"), 16)?
        && order != b"little"
    {
        return Err(Fault::Refused(format!(
            "its numbers are {}-endian: save it again on a little-endian machine",
            order.escape_ascii()
        )));
    }
    let data = archive
        .read(&format!("{folder}/data.pkl"), MAX_PICKLE_BYTES)?
        .ok_or_else(|| Fault::damaged("data.pkl is missing"))?;
    let pickle = pickle::read(&data)?;
    let views = checkpoint::tensors(&pickle.heap, pickle.root)?;
    let mut assembly = Assembly::plan(views, file_bytes)?;
    let keys = assembly.missing_blocks();
    let blocks: Vec<Result<Vec<u8>>> = keys
        .par_iter()
        .map_init(
            || archive.clone(),
            |archive, key| {
                archive.read(&format!("{folder}/data/{key}"), MAX_TENSOR_BYTES)?.ok_or_else(|| {
                    Fault::Damaged(format!("data/{} is missing", key.escape_default()))
                })
            },
        )
        .collect();
    for (key, block) in keys.into_iter().zip(blocks) {
        assembly.supply(key, block?)?;
    }
    assembly.finish()
}

/// Each thread reads from a clone of its own.
#[derive(Clone)]
struct Archive<'a> {
    zip: ZipArchive<SharedFile>,
    /// What all entries together may still take: they are stored as they are, so honest ones cannot
    /// exceed the file.
    bytes_left: &'a AtomicU64,
}

impl Archive<'_> {
    /// The folder that holds everything, named after the file or `archive`.
    fn folder(&self) -> Result<String> {
        let mut folders = self.zip.file_names().filter_map(|name| {
            let name = name.ok()?;
            let folder = name.strip_suffix("/data.pkl")?;
            (!folder.contains('/')).then(|| folder.to_owned())
        });
        match (folders.next(), folders.next()) {
            (Some(folder), None) => Ok(folder),
            _ => Err(Fault::refused("a zip file, but not one that torch.save wrote")),
        }
    }

    /// The content of an entry of at most `max_bytes` bytes, its checksum verified; none when there
    /// is no such entry.
    fn read(&mut self, name: &str, max_bytes: u64) -> Result<Option<Vec<u8>>> {
        let Some(index) = self.zip.index_for_name(name) else { return Ok(None) };
        let mut entry = self.zip.by_index(index)?;
        let size = entry.size();
        let shown = name.escape_default();
        if entry.compression() != CompressionMethod::Stored || entry.compressed_size() != size {
            return Err(Fault::Refused(format!(
                "{shown} is compressed, which torch.save never does"
            )));
        }
        let take = |left: u64| left.checked_sub(size).filter(|_| size <= max_bytes);
        if self.bytes_left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_err() {
            return Err(Fault::Damaged(format!("{shown} declares {size} bytes")));
        }
        let mut content = Vec::with_capacity(size as usize);
        entry.read_to_end(&mut content).map_err(Fault::from).map_err(|fault| match fault {
            Fault::Damaged(reason) => Fault::Damaged(format!("{shown}: {reason}")),
            other => other,
        })?;
        if content.len() as u64 != size {
            return Err(Fault::Damaged(format!("{shown} ends too early")));
        }
        Ok(Some(content))
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
