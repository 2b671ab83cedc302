//! The bytes of an image file, whatever happens to it meanwhile.

use std::fs::{Metadata, OpenOptions};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::SystemTime;

use rustix::fs::OFlags;

use crate::error::{Action, Error, Result};

/// Larger files are no photographs; an uncompressed image of the largest size that is decoded fits.
pub(super) const MAX_BYTES: u64 = 640 << 20;

/// A file as it was at one moment.
#[derive(Debug)]
pub struct ImageFile {
    /// All of it.
    pub bytes: Vec<u8>,
    /// From before it was read.
    pub metadata: Metadata,
    /// When it was read.
    pub read_at: SystemTime,
}

/// Reads the file at `path`. A FIFO or device that has taken its place since the folder was listed
/// is not waited for.
///
/// # Errors
/// [`Error::Io`] when it cannot be read; [`Error::BadData`] when it is no regular file, larger than
/// 640 MiB, or was written to while it was read.
pub fn read(path: &Path) -> Result<ImageFile> {
    let bad = |reason: String| {
        Error::bad_data(path, reason, "Replace the file with an intact image, or remove it.")
    };
    let read_at = SystemTime::now();
    let mut file = OpenOptions::new()
        .read(true)
        .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
        .open(path)
        .map_err(Error::io(Action::Read, path))?;
    let metadata = file.metadata().map_err(Error::io(Action::Read, path))?;
    if !metadata.is_file() {
        return Err(bad("is no regular file".into()));
    }
    if metadata.len() > MAX_BYTES {
        return Err(bad(format!("is too large: over {} MiB", MAX_BYTES >> 20)));
    }
    let mut bytes = Vec::with_capacity(metadata.len() as usize + 1);
    (&mut file)
        .take(metadata.len() + 1)
        .read_to_end(&mut bytes)
        .map_err(Error::io(Action::Read, path))?;
    let after = file.metadata().map_err(Error::io(Action::Read, path))?;
    let is_same = bytes.len() as u64 == metadata.len()
        && after.len() == metadata.len()
        && after.modified().ok() == metadata.modified().ok();
    if !is_same {
        return Err(bad("was changed while it was read".into()));
    }
    Ok(ImageFile { bytes, metadata, read_at })
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::io::Write;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    #[test]
    fn a_fifo_a_device_and_a_folder_are_refused_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let fifo = dir.path().join("fifo.jpg");
        mknodat(CWD, &fifo, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        for path in [fifo.as_path(), "/dev/zero".as_ref(), dir.path()] {
            let error = read(path).unwrap_err();
            assert_eq!(error.reason(), "is no regular file", "{}", path.display());
        }
    }

    #[test]
    fn a_file_that_grows_or_shrinks_meanwhile_is_never_read_in_part() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("image.jpg");
        fs::write(&path, vec![0; 1 << 20]).unwrap();
        let ended = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut file = File::options().append(true).open(&path).unwrap();
                while !ended.load(Ordering::Relaxed) {
                    file.write_all(&[1; 4096]).unwrap();
                    if file.metadata().unwrap().len() > 2 << 20 {
                        file.set_len(1 << 20).unwrap();
                    }
                }
            });
            let mut num_refused = 0;
            while num_refused < 20 {
                match read(&path) {
                    Ok(file) => assert_eq!(file.bytes.len() as u64, file.metadata.len()),
                    Err(error) => {
                        assert_eq!(error.reason(), "was changed while it was read");
                        num_refused += 1;
                    }
                }
            }
            ended.store(true, Ordering::Relaxed);
        });
    }
}
