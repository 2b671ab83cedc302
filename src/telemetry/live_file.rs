//! A file that grows while a run goes on.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use crate::atomic_file;
use crate::error::{Action, Error, Result};

/// Takes whole lines or records, each by one write, so that a reader or a killed process finds no part
/// of one but the last.
#[derive(Debug)]
pub(super) struct LiveFile {
    path: std::path::PathBuf,
    file: File,
}

impl LiveFile {
    /// A new file.
    pub(super) fn create(path: &Path) -> Result<Self> {
        let file = File::create(path).map_err(Error::io(Action::Create, path))?;
        Ok(LiveFile { path: path.to_path_buf(), file })
    }

    /// Goes on with a file of lines, behind the end of its last line. One with more than `max_bytes` is
    /// first renamed to the same name with `.1`, where the one before is lost.
    pub(super) fn continue_lines(path: &Path, max_bytes: u64) -> Result<Self> {
        if let Some(dir) = path.parent() {
            atomic_file::create_dir(dir)?;
        }
        if fs::metadata(path).is_ok_and(|metadata| metadata.len() > max_bytes) {
            let mut old = path.as_os_str().to_owned();
            old.push(".1");
            fs::rename(path, &old).map_err(Error::io(Action::Create, &old))?;
        }
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(path)
            .map_err(Error::io(Action::Create, path))?;
        let mut last = [b'\n'];
        if file.seek(SeekFrom::End(-1)).is_ok() {
            file.read_exact(&mut last).map_err(Error::io(Action::Read, path))?;
        }
        let mut live = LiveFile { path: path.to_path_buf(), file };
        // A process was killed within its last line.
        if last != [b'\n'] {
            live.append(b"\n")?;
        }
        Ok(live)
    }

    /// What cannot be written as a whole is taken back.
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<()> {
        let num_before = self.file.metadata().map(|metadata| metadata.len());
        self.file.write_all(bytes).map_err(|error| {
            if let Ok(num_before) = num_before {
                // The error that is reported is the first one.
                let _ = self.file.set_len(num_before);
            }
            Error::io(Action::Write, &self.path)(error)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_several_runs_follow_each_other_up_to_a_size() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log/metrics.emf.jsonl");
        LiveFile::continue_lines(&path, 20).unwrap().append(b"first\n").unwrap();
        // A write that a kill cut short.
        LiveFile::continue_lines(&path, 20).unwrap().append(b"sec").unwrap();
        LiveFile::continue_lines(&path, 20).unwrap().append(b"third\nfourth\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "first\nsec\nthird\nfourth\n");
        LiveFile::continue_lines(&path, 20).unwrap().append(b"fifth\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "fifth\n");
        assert!(dir.path().join("log/metrics.emf.jsonl.1").exists());
    }

    #[test]
    fn a_full_disk_leaves_no_part_of_a_line() {
        let Ok(mut full) = LiveFile::continue_lines(Path::new("/dev/full"), u64::MAX) else {
            eprintln!("SKIPPED: there is no /dev/full");
            return;
        };
        let error = full.append(b"line\n").unwrap_err();
        assert!(error.to_string().contains("/dev/full"), "{error}");
    }
}
