//! One run at a time in a folder of artifacts.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::Write;
use std::path::Path;

use crate::error::{Action, Error, Result};

const LOCK_FILE: &str = ".lock";

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
        match file.try_lock() {
            Ok(()) => (),
            Err(TryLockError::Error(error)) => return Err(Error::io(Action::Write, &path)(error)),
            Err(TryLockError::WouldBlock) => {
                let holder = fs::read_to_string(&path).unwrap_or_default();
                let holder = if holder.is_empty() { "starting just now" } else { holder.trim() };
                let reason = format!(
                    "another run is at work ({holder}).\n  Wait for it, or stop it and start again."
                );
                return Err(Error::Busy { path, reason });
            }
        }
        let holder =
            format!("process {} since {:.0}\n", std::process::id(), jiff::Timestamp::now());
        file.set_len(0)
            .and_then(|()| file.write_all(holder.as_bytes()))
            .map_err(Error::io(Action::Write, &path))?;
        Ok(RunLock { _file: file })
    }

    /// Who holds the lock of `dir`, if a run does.
    pub fn holder(dir: &Path) -> Option<String> {
        let path = dir.join(LOCK_FILE);
        match File::open(&path).ok()?.try_lock_shared() {
            Ok(()) => None,
            Err(_) => fs::read_to_string(&path).ok(),
        }
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
}
