//! Which content a file had when it was last read, so that unchanged files are not read again.
//!
//! Lines of JSON, each behind its checksum, are appended as files are read. A line that is torn or
//! damaged is ignored, and the file it spoke of is read again. Deleting the index costs no more.

mod line;

use std::collections::{HashMap, HashSet};
use std::fs::{File, Metadata, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::atomic_file;
use crate::error::{Action, Error, Result};
use crate::file_stat::{Stat, is_settled};
use line::{parse, parse_compacted, write, write_compacted};

/// An index of fewer lines is not worth rewriting.
const MIN_LINES_TO_COMPACT: usize = 1000;

/// What reading a file found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// BLAKE3 of the file.
    pub content: blake3::Hash,
    /// What decoding it warned of.
    pub warning: Option<String>,
}

/// The content of every file that was read, as long as its metadata does not change.
#[derive(Debug)]
pub struct FileIndex {
    path: PathBuf,
    file: File,
    /// Where the next line goes: behind the last whole one, over what a failed write left.
    end: u64,
    known: HashMap<Digest, Known>,
    /// What decoding some files warned of.
    warnings: HashMap<Digest, String>,
}

/// Stands for a path, or for what a file's metadata was, of which there may be very many: half of its BLAKE3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Digest([u8; 16]);

impl Digest {
    fn of_path(path: &Path) -> Self {
        Digest::of(path.as_os_str().as_bytes())
    }

    fn of_stat(stat: &Stat) -> Self {
        let Stat { size, mtime_ns, ctime_ns, inode } = *stat;
        let [mtime, ctime] = [mtime_ns, ctime_ns].map(i64::cast_unsigned);
        Digest::of([size, mtime, ctime, inode].map(u64::to_le_bytes).as_flattened())
    }

    fn of(bytes: &[u8]) -> Self {
        Digest(blake3::hash(bytes).as_bytes().as_chunks().0[0])
    }
}

/// What a file was when it was read, and what was found in it.
#[derive(Debug, PartialEq, Eq)]
struct Known {
    stat: Digest,
    content: blake3::Hash,
}

impl FileIndex {
    /// Reads the index at `path`; a missing one is created, with its folder. When most of its lines
    /// have been superseded it is rewritten without them, and without files that are gone.
    ///
    /// # Errors
    /// [`Error::Io`] with the path. Damaged content is no error.
    pub fn open(path: &Path) -> Result<Self> {
        if let Some(dir) = path.parent() {
            atomic_file::create_dir(dir)?;
        }
        let (file, bytes) = open_and_read(path)?;
        let end = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |last| last + 1);
        let mut index = FileIndex {
            path: path.to_path_buf(),
            file,
            end: end as u64,
            known: HashMap::new(),
            warnings: HashMap::new(),
        };
        let (mut num_lines, mut num_damaged, mut num_compacted) = (0, 0, 0);
        for line in bytes[..end].split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
            num_lines += 1;
            if let Some((path, stat, entry)) = parse(line) {
                index.remember(Digest::of_path(&path), &stat, entry);
            } else if let Some(count) = parse_compacted(line) {
                num_compacted = count;
            } else {
                num_damaged += 1;
            }
        }
        if num_damaged > 0 {
            log::warn!(
                "{}: {num_damaged} lines are damaged or of another version: their files are read again",
                path.display()
            );
        }
        if num_lines >= 2 * num_compacted + MIN_LINES_TO_COMPACT {
            index.compact(&bytes[..end])?;
        }
        Ok(index)
    }

    /// Number of files it knows.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether it knows none.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Makes room for more files: growing as they come would take half as much memory again.
    pub fn reserve(&mut self, num_files: usize) {
        self.known.reserve(num_files);
    }

    /// What was found in the file at `path`, if its size, times and inode in `metadata` are still
    /// those of that reading.
    pub fn lookup(&self, path: &Path, metadata: &Metadata) -> Option<Entry> {
        self.find(Digest::of_path(path), &Stat::of(metadata))
    }

    fn find(&self, key: Digest, stat: &Stat) -> Option<Entry> {
        let Known { stat: known, content } = self.known.get(&key)?;
        let entry = || Entry { content: *content, warning: self.warnings.get(&key).cloned() };
        (*known == Digest::of_stat(stat)).then(entry)
    }

    fn remember(&mut self, key: Digest, stat: &Stat, entry: Entry) {
        let Entry { content, warning } = entry;
        self.known.insert(key, Known { stat: Digest::of_stat(stat), content });
        match warning {
            Some(warning) => self.warnings.insert(key, warning),
            None => self.warnings.remove(&key),
        };
    }

    /// Remembers what was found in the file at `path`. `metadata` and `read_at` are those of a
    /// moment before its bytes were read. A file that was changed less than 2 s before is not
    /// remembered, since it may change again without its times telling.
    ///
    /// # Errors
    /// [`Error::Io`] with the path of the index, as when the disk is full.
    pub fn insert(
        &mut self,
        path: &Path,
        metadata: &Metadata,
        read_at: SystemTime,
        entry: Entry,
    ) -> Result<()> {
        let (key, stat) = (Digest::of_path(path), Stat::of(metadata));
        if !is_settled(metadata, read_at) || self.find(key, &stat).as_ref() == Some(&entry) {
            return Ok(());
        }
        let mut line = Vec::new();
        write(path, &stat, &entry, &mut line)
            .and_then(|()| self.file.write_all_at(&line, self.end))
            .map_err(Error::io(Action::Write, &self.path))?;
        self.end += line.len() as u64;
        self.remember(key, &stat, entry);
        Ok(())
    }

    /// Rewrites the index, of these lines, with one for each file that is still there.
    fn compact(&mut self, lines: &[u8]) -> Result<()> {
        let mut kept = HashSet::new();
        let mut kept_lines = Vec::new();
        // The last one of a file is what is known of it.
        for line in lines.rsplit(|&byte| byte == b'\n') {
            if let Some((path, ..)) = parse(line)
                && path.symlink_metadata().is_ok()
                && kept.insert(Digest::of_path(&path))
            {
                kept_lines.push(line);
            }
        }
        self.known.retain(|key, _| kept.contains(key));
        self.warnings.retain(|key, _| kept.contains(key));
        let mut bytes = Vec::new();
        write_compacted(kept_lines.len(), &mut bytes)
            .map_err(Error::io(Action::Write, &self.path))?;
        for line in kept_lines.into_iter().rev() {
            bytes.extend_from_slice(line);
            bytes.push(b'\n');
        }
        atomic_file::replace(&self.path, |file| file.write_all(&bytes))?;
        self.file = open(&self.path)?;
        self.end = bytes.len() as u64;
        Ok(())
    }
}

fn open(path: &Path) -> Result<File> {
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(path)
        .map_err(Error::io(Action::Create, path))
}

fn open_and_read(path: &Path) -> Result<(File, Vec<u8>)> {
    let mut file = open(path)?;
    let mut bytes = Vec::new();
    match file.read_to_end(&mut bytes) {
        Ok(_) => (),
        // A bad sector: what comes before it is good.
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()) => {}
        Err(error) => return Err(Error::io(Action::Read, path)(error)),
    }
    Ok((file, bytes))
}
