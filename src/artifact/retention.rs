//! How many models are kept.

use std::fs;
use std::path::Path;

use super::names::{CURRENT_LINK, RUNS_DIR, is_run_id};
use crate::error::{Action, Error, Result};

/// Deletes all trainings in `dir` but the latest `num_kept` and the one that stands. Folders with
/// names of another kind are left alone.
pub(super) fn prune(dir: &Path, num_kept: usize) -> Result<()> {
    let runs_dir = dir.join(RUNS_DIR);
    let standing = fs::read_link(dir.join(CURRENT_LINK)).unwrap_or_default();
    let mut names = Vec::new();
    for entry in fs::read_dir(&runs_dir).map_err(Error::io(Action::Read, &runs_dir))? {
        let name = entry.map_err(Error::io(Action::Read, &runs_dir))?.file_name();
        names.extend(name.into_string().ok().filter(|name| is_run_id(name)));
    }
    names.sort();
    names.truncate(names.len().saturating_sub(num_kept));
    for name in names {
        if standing.file_name().is_none_or(|standing| standing != name.as_str()) {
            let path = runs_dir.join(name);
            fs::remove_dir_all(&path).map_err(Error::io(Action::Write, &path))?;
            log::info!("{}: deleted, the latest {num_kept} models are kept", path.display());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn the_latest_the_standing_one_and_what_is_not_ours_stay() {
        let dir = tempfile::tempdir().unwrap();
        let ids: Vec<String> = (1..6).map(|day| format!("2026110{day}T000000.000Z")).collect();
        for name in ids.iter().map(String::as_str).chain(["best"]) {
            fs::create_dir_all(dir.path().join(RUNS_DIR).join(name)).unwrap();
        }
        symlink(Path::new(RUNS_DIR).join(&ids[0]), dir.path().join(CURRENT_LINK)).unwrap();
        prune(dir.path(), 2).unwrap();
        let mut left: Vec<String> = fs::read_dir(dir.path().join(RUNS_DIR))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(left, [ids[0].as_str(), &ids[3], &ids[4], "best"]);
    }
}
