//! One run at a time in a folder of artifacts.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use crate::error::{Action, Error, Result};

const LOCK_FILE: &str = ".lock";
/// [`RunLock::holder`] takes the lock for a moment, which is no run.
const ATTEMPTS: usize = 4;
const PAUSE: Duration = Duration::from_millis(25);

/// Held for as long as the value lives. The kernel releases it with the process, however it ends.
#[derive(Debug)]
pub struct RunLock {
    _file: File,
}

impl RunLock {
    /// Takes the lock of `dir`, which must exist.
    ///
    /// # Errors
    /// [`Error::Busy`] at once when another run holds it.
    pub fn acquire(dir: &Path) -> Result<Self> {
        let path = dir.join(LOCK_FILE);
        let mut file = open(&path)?;
        for attempt in 1.. {
            match file.try_lock() {
                // Whoever deleted the file would let a second run lock another one.
                Ok(()) if is_at(&file, &path) => break,
                Ok(()) => file = open(&path)?,
                Err(TryLockError::Error(error)) => {
                    return Err(Error::io(Action::Write, &path)(error));
                }
                Err(TryLockError::WouldBlock) if attempt < ATTEMPTS => thread::sleep(PAUSE),
                Err(TryLockError::WouldBlock) => return Err(busy(path)),
            }
        }
        let holder =
            format!("process {} since {:.0}\n", std::process::id(), jiff::Timestamp::now());
        // Over the old text, then cut off, so that a reader never finds nothing.
        file.write_all(holder.as_bytes())
            .and_then(|()| file.set_len(holder.len() as u64))
            .map_err(Error::io(Action::Write, &path))?;
        Ok(RunLock { _file: file })
    }

    /// Who holds the lock of `dir`, if a run does.
    pub fn holder(dir: &Path) -> Option<String> {
        let path = dir.join(LOCK_FILE);
        match File::open(&path).ok()?.try_lock_shared() {
            Ok(()) => None,
            Err(_) => fs::read_to_string(&path).ok()?.lines().next().map(str::to_owned),
        }
    }
}

fn busy(path: PathBuf) -> Error {
    let holder = fs::read_to_string(&path).unwrap_or_default();
    let holder = holder.lines().next().unwrap_or("starting just now");
    let reason = format!(
        "another run is at work ({holder}).\n  Wait for it, or stop it and start again. `ec2train \
         status` shows how far it is."
    );
    Error::Busy { path, reason }
}

/// Whether `file` is still what is at `path`.
fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::metadata(path)) {
        (Ok(open), Ok(there)) => (open.dev(), open.ino()) == (there.dev(), there.ino()),
        _ => false,
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn a_second_run_is_told_who_holds_the_lock_until_the_first_ends() {
        let dir = tempfile::tempdir().unwrap();
        let first = RunLock::acquire(dir.path()).unwrap();
        let error = RunLock::acquire(dir.path()).unwrap_err();
        assert_eq!(error.exit_code(), 75);
        assert!(error.to_string().contains(&format!("process {}", std::process::id())), "{error}");
        assert!(RunLock::holder(dir.path()).unwrap().contains("since 20"));
        drop(first);
        assert_eq!(RunLock::holder(dir.path()), None);
        RunLock::acquire(dir.path()).unwrap();
    }

    #[test]
    fn looking_for_the_holder_keeps_nobody_from_starting() {
        let dir = tempfile::tempdir().unwrap();
        drop(RunLock::acquire(dir.path()).unwrap());
        let ended = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !ended.load(Ordering::Relaxed) {
                    RunLock::holder(dir.path());
                    thread::sleep(Duration::from_millis(1));
                }
            });
            let acquired = (0..50).map(|_| RunLock::acquire(dir.path()).map(drop));
            let result: Result<Vec<()>> = acquired.collect();
            ended.store(true, Ordering::Relaxed);
            result.unwrap();
        });
    }
}
