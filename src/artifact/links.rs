//! The names that readers look at, and what they lead to.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::names::{CURRENT_LINK, FILES, METADATA_FILE, MODEL_FILE, RUNS_DIR, new_run_id};
use crate::atomic_file;
use crate::error::{Action, Error, Result};

/// The folder that holds the standing model's files: a reader that opens both there has a pair, even
/// if another takes its place meanwhile. `dir` itself where the files are no links of ours, as on a
/// file system without links, or put there by hand.
pub(super) fn resolve(dir: &Path) -> PathBuf {
    let is_linked = [MODEL_FILE, METADATA_FILE].iter().all(|name| is_ours(dir, name));
    match fs::read_link(dir.join(CURRENT_LINK)) {
        Ok(target) if is_linked => dir.join(target),
        _ => dir.to_path_buf(),
    }
}

/// Whether symlinks can be made in `dir`; FAT and some network file systems have none.
pub(super) fn are_supported(dir: &Path) -> Result<bool> {
    let path = dir.join(CURRENT_LINK);
    match temporary_link(dir, Path::new("nowhere")) {
        Ok(_) => Ok(true),
        Err(error) if lacks_links(&error) => Ok(false),
        Err(error) => Err(Error::io(Action::Create, &path)(error)),
    }
}

/// Moves a model whose files lie in `dir` itself into a folder of its own, and puts links in their
/// place. Whatever a reader opens meanwhile has the same content. Nothing happens when there is none.
pub(super) fn adopt(dir: &Path) -> Result<()> {
    let runs_dir = dir.join(RUNS_DIR);
    let current = dir.join(CURRENT_LINK);
    // A copy that followed links leaves a folder here.
    if fs::symlink_metadata(&current).is_ok_and(|metadata| metadata.is_dir()) {
        fs::rename(&current, runs_dir.join(new_run_id(&runs_dir)))
            .map_err(Error::io(Action::Create, &current))?;
    }
    let is_plain =
        |name: &&str| !is_ours(dir, name) && fs::symlink_metadata(dir.join(name)).is_ok();
    if !FILES.iter().any(is_plain) {
        return Ok(());
    }
    let unfinished = new_folder(&runs_dir)?;
    for name in FILES {
        let Ok(source) = fs::canonicalize(dir.join(name)) else { continue };
        let target = unfinished.path().join(name);
        if fs::hard_link(&source, &target).is_err() {
            fs::copy(&source, &target).map_err(Error::io(Action::Write, &target))?;
        }
    }
    let id = finish_folder(unfinished, &runs_dir)?;
    log::info!("{}: the model of before is kept there", runs_dir.join(&id).display());
    set_current(dir, &id)?;
    link_names(dir)?;
    atomic_file::sync_dir(dir)
}

/// Makes the training `id` the standing one, by one rename for all of its files.
pub(super) fn switch(dir: &Path, id: &str) -> Result<()> {
    // At the first training they lead nowhere until `current` is there: all appear at once.
    link_names(dir)?;
    set_current(dir, id)?;
    atomic_file::sync_dir(dir)
}

fn set_current(dir: &Path, id: &str) -> Result<()> {
    replace_link(dir, CURRENT_LINK, &Path::new(RUNS_DIR).join(id))
}

fn link_names(dir: &Path) -> Result<()> {
    for name in FILES {
        if !is_ours(dir, name) {
            replace_link(dir, name, &Path::new(CURRENT_LINK).join(name))?;
        }
    }
    Ok(())
}

/// The same where there are no links: each file is replaced by a copy, and readers compare hashes.
pub(super) fn copy(dir: &Path, id: &str) -> Result<()> {
    for name in FILES {
        let source = dir.join(RUNS_DIR).join(id).join(name);
        let path = dir.join(name);
        if source.exists() {
            atomic_file::replace(&path, |file| {
                io::copy(&mut fs::File::open(&source)?, file).map(drop)
            })?;
        } else if path.exists() {
            // That of the model of before belongs to no other.
            fs::remove_file(&path).map_err(Error::io(Action::Write, &path))?;
        }
    }
    Ok(())
}

/// A folder in `runs_dir` that no reader sees yet.
pub(super) fn new_folder(runs_dir: &Path) -> Result<tempfile::TempDir> {
    atomic_file::create_dir(runs_dir)?;
    atomic_file::temporary_dir_in(runs_dir)
}

/// Gives it a name, which is returned.
pub(super) fn finish_folder(folder: tempfile::TempDir, runs_dir: &Path) -> Result<String> {
    atomic_file::sync_dir(folder.path())?;
    let id = new_run_id(runs_dir);
    let path = runs_dir.join(&id);
    fs::rename(folder.path(), &path).map_err(Error::io(Action::Create, &path))?;
    // It is no longer where its destructor would delete it.
    let _ = folder.keep();
    atomic_file::sync_dir(runs_dir)?;
    Ok(id)
}

fn is_ours(dir: &Path, name: &str) -> bool {
    fs::read_link(dir.join(name)).is_ok_and(|to| to == Path::new(CURRENT_LINK).join(name))
}

fn replace_link(dir: &Path, name: &str, target: &Path) -> Result<()> {
    let path = dir.join(name);
    temporary_link(dir, target)
        .and_then(|link| link.persist(&path).map_err(|error| error.error))
        .map(drop)
        .map_err(Error::io(Action::Create, &path))
}

fn temporary_link(dir: &Path, target: &Path) -> io::Result<tempfile::NamedTempFile<()>> {
    tempfile::Builder::new().prefix(atomic_file::PREFIX).make_in(dir, |path| symlink(target, path))
}

fn lacks_links(error: &io::Error) -> bool {
    let codes = [rustix::io::Errno::PERM, rustix::io::Errno::OPNOTSUPP, rustix::io::Errno::NOSYS];
    codes.iter().any(|code| error.raw_os_error() == Some(code.raw_os_error()))
}

#[cfg(test)]
mod tests {
    use super::super::names::HISTORY_FILE;
    use super::*;

    fn write_run(dir: &Path, id: &str) {
        let run_dir = dir.join(RUNS_DIR).join(id);
        fs::create_dir_all(&run_dir).unwrap();
        FILES.iter().for_each(|name| fs::write(run_dir.join(name), id).unwrap());
    }

    fn contents(dir: &Path) -> Vec<String> {
        FILES.iter().map(|name| fs::read_to_string(dir.join(name)).unwrap_or_default()).collect()
    }

    #[test]
    fn all_names_lead_to_the_training_that_was_switched_to() {
        let dir = tempfile::tempdir().unwrap();
        for id in ["one", "two"] {
            write_run(dir.path(), id);
            adopt(dir.path()).unwrap();
            switch(dir.path(), id).unwrap();
            assert_eq!(contents(dir.path()), [id; FILES.len()]);
            assert_eq!(resolve(dir.path()), dir.path().join(RUNS_DIR).join(id));
        }
        // Nothing half-made is left: the runs and the links.
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2 + FILES.len());
    }

    #[test]
    fn plain_files_of_before_move_into_a_folder_of_their_own() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join(RUNS_DIR)).unwrap();
        fs::write(dir.path().join(MODEL_FILE), "old").unwrap();
        fs::write(dir.path().join(METADATA_FILE), "old").unwrap();
        assert_eq!(resolve(dir.path()), dir.path());
        adopt(dir.path()).unwrap();
        assert_eq!(contents(dir.path())[..3], ["old", "old", ""]);
        let adopted = resolve(dir.path());
        assert_ne!(adopted, dir.path());
        write_run(dir.path(), "new");
        adopt(dir.path()).unwrap();
        switch(dir.path(), "new").unwrap();
        assert_eq!(contents(dir.path()), ["new"; FILES.len()]);
        assert_eq!(fs::read_to_string(adopted.join(MODEL_FILE)).unwrap(), "old");
    }

    #[test]
    fn a_file_put_in_place_of_a_link_is_what_readers_see() {
        let dir = tempfile::tempdir().unwrap();
        write_run(dir.path(), "one");
        switch(dir.path(), "one").unwrap();
        fs::remove_file(dir.path().join(METADATA_FILE)).unwrap();
        fs::write(dir.path().join(METADATA_FILE), "mine").unwrap();
        assert_eq!(resolve(dir.path()), dir.path());
        adopt(dir.path()).unwrap();
        assert_eq!(contents(dir.path())[..3], ["one", "mine", "one"]);
    }

    #[test]
    fn without_links_the_files_are_copied() {
        let dir = tempfile::tempdir().unwrap();
        write_run(dir.path(), "one");
        copy(dir.path(), "one").unwrap();
        assert_eq!(contents(dir.path()), ["one"; FILES.len()]);
        assert_eq!(resolve(dir.path()), dir.path());
        assert!(are_supported(dir.path()).unwrap());
        // A file that a training does not have is not left over from another one.
        write_run(dir.path(), "two");
        fs::remove_file(dir.path().join(RUNS_DIR).join("two").join(HISTORY_FILE)).unwrap();
        copy(dir.path(), "two").unwrap();
        assert_eq!(contents(dir.path())[..3], ["two", "two", ""]);
    }
}
