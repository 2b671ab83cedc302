//! Removes features that no recipe asks for any more.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use super::recipe::{FILE_SUFFIX, Recipe};
use super::record::Element;
use crate::error::{Action, Error, Result};

/// Deletes files of features below `dir` whose recipes are not in `keep`, those first that were
/// written to longest ago, until the rest of them have at most `max_bytes`.
///
/// # Errors
/// [`Error::Io`] when `dir` cannot be listed or a file not be deleted.
pub fn prune(dir: &Path, keep: &[&Recipe], max_bytes: u64) -> Result<()> {
    let kept: Vec<String> = keep.iter().map(|recipe| recipe.file_name()).collect::<Result<_>>()?;
    prune_files(dir, &kept, max_bytes)
}

/// The same for all files of the store but those with the names `kept`.
///
/// # Errors
/// As [`prune`].
pub fn prune_files(dir: &Path, kept: &[String], max_bytes: u64) -> Result<()> {
    let mut unused = Vec::new();
    for entry in fs::read_dir(dir).map_err(Error::io(Action::Read, dir))? {
        let entry = entry.map_err(Error::io(Action::Read, dir))?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        let prefixes = [f32::FILE_PREFIX, u16::FILE_PREFIX];
        let is_ours =
            prefixes.iter().any(|prefix| name.starts_with(prefix)) && name.ends_with(FILE_SUFFIX);
        if !is_ours || kept.iter().any(|kept| kept == name) {
            continue;
        }
        // Somebody else may have deleted it just now.
        let Ok(metadata) = entry.metadata() else { continue };
        let written = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        unused.push((written, entry.path(), metadata.len()));
    }
    unused.sort();
    let mut num_bytes: u64 = unused.iter().map(|(_, _, len)| len).sum();
    for (_, path, len) in unused {
        if num_bytes <= max_bytes {
            break;
        }
        fs::remove_file(&path).map_err(Error::io(Action::Write, &path))?;
        log::info!("{}: deleted, features of another engine, weights or transform", path.display());
        num_bytes -= len;
    }
    Ok(())
}
