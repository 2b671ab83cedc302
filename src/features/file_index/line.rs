//! One line of the index of files: `<XXH3-64 of the JSON, 16 hex digits> <JSON>`.

use std::borrow::Cow;
use std::ffi::OsString;
use std::io::{self, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::Entry;
use crate::features::recipe::PIXELS;
use crate::file_stat::Stat;

/// Raised with every change of what lines mean. It seeds the checksums, as does what the decoder
/// does, which the warnings depend on: lines of other versions look damaged and are ignored.
const FORMAT: u32 = 1;
const SEED: u64 = (FORMAT as u64) << 32 | PIXELS as u64;
const CHECKSUM_DIGITS: usize = 16;

/// What the JSON of a file's line holds.
#[derive(Serialize, Deserialize)]
struct FileLine<'a> {
    /// When it is UTF-8.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    path: Option<Cow<'a, str>>,
    /// When it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    path_bytes: Option<Vec<u8>>,
    size: u64,
    mtime_ns: i64,
    ctime_ns: i64,
    inode: u64,
    /// BLAKE3, 64 hex digits.
    #[serde(borrow)]
    content: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    warning: Option<String>,
}

/// What the JSON of the first line holds after the index was rewritten.
#[derive(Serialize, Deserialize)]
struct CompactedLine {
    /// Lines of files there were then.
    num_files: usize,
}

/// Appends the line of a file to `out`.
pub(super) fn write(path: &Path, stat: &Stat, entry: &Entry, out: &mut Vec<u8>) -> io::Result<()> {
    let text = path.to_str();
    let line = FileLine {
        path: text.map(Cow::Borrowed),
        path_bytes: text.is_none().then(|| path.as_os_str().as_bytes().to_vec()),
        size: stat.size,
        mtime_ns: stat.mtime_ns,
        ctime_ns: stat.ctime_ns,
        inode: stat.inode,
        content: Cow::Borrowed(&entry.content.to_hex()),
        warning: entry.warning.clone(),
    };
    write_json(&line, out)
}

/// Appends the line that says how many files there were when the index was rewritten.
pub(super) fn write_compacted(num_files: usize, out: &mut Vec<u8>) -> io::Result<()> {
    write_json(&CompactedLine { num_files }, out)
}

/// Reads the line of a file, without its newline. `None` when any byte is not what was written.
pub(super) fn parse(line: &[u8]) -> Option<(PathBuf, Stat, Entry)> {
    let line: FileLine = serde_json::from_slice(json(line)?).ok()?;
    let path = match (line.path, line.path_bytes) {
        (Some(text), None) => PathBuf::from(text.into_owned()),
        (None, Some(bytes)) => PathBuf::from(OsString::from_vec(bytes)),
        _ => return None,
    };
    let stat = Stat {
        size: line.size,
        mtime_ns: line.mtime_ns,
        ctime_ns: line.ctime_ns,
        inode: line.inode,
    };
    let content = blake3::Hash::from_hex(line.content.as_bytes()).ok()?;
    Some((path, stat, Entry { content, warning: line.warning }))
}

/// Reads what [`write_compacted`] wrote.
pub(super) fn parse_compacted(line: &[u8]) -> Option<usize> {
    let line: CompactedLine = serde_json::from_slice(json(line)?).ok()?;
    Some(line.num_files)
}

fn write_json(value: &impl Serialize, out: &mut Vec<u8>) -> io::Result<()> {
    let json = serde_json::to_vec(value)?;
    write!(out, "{:016x} ", xxh3_64_with_seed(&json, SEED))?;
    out.extend_from_slice(&json);
    out.push(b'\n');
    Ok(())
}

/// The JSON of a line, if the checksum before it is its own.
fn json(line: &[u8]) -> Option<&[u8]> {
    let (checksum, json) = line.split_at_checked(CHECKSUM_DIGITS)?;
    let json = json.strip_prefix(b" ")?;
    let checksum = u64::from_str_radix(std::str::from_utf8(checksum).ok()?, 16).ok()?;
    (checksum == xxh3_64_with_seed(json, SEED)).then_some(json)
}
