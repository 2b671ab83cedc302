//! What a line of the index of files says.

use std::borrow::Cow;
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Entry;
use crate::checked_line;
use crate::features::recipe::PIXELS;
use crate::file_stat::Stat;

/// Raised with every change of what lines mean. It seeds the checksums, as does what the decoder
/// does, which the warnings depend on: lines of other versions look damaged and are ignored.
const FORMAT: u32 = 1;
const SEED: u64 = (FORMAT as u64) << 32 | PIXELS as u64;

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
    checked_line::write(&line, SEED, out)
}

/// Appends the line that says how many files there were when the index was rewritten.
pub(super) fn write_compacted(num_files: usize, out: &mut Vec<u8>) -> io::Result<()> {
    checked_line::write(&CompactedLine { num_files }, SEED, out)
}

/// Reads the line of a file, without its newline. `None` when any byte is not what was written.
pub(super) fn parse(line: &[u8]) -> Option<(PathBuf, Stat, Entry)> {
    let line: FileLine = checked_line::parse(line, SEED)?;
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
    let line: CompactedLine = checked_line::parse(line, SEED)?;
    Some(line.num_files)
}
