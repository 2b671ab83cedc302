//! The thumbnails of the report before, so that files that have not changed are not decoded for them again.
//!
//! They lie in a file of their own, a line each, which can be deleted at any time: what is not known is drawn.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::thumbnail::draw;
use crate::atomic_file;
use crate::checked_line;
use crate::data::image_file;
use crate::error::Result;
use crate::features::recipe::PIXELS;
use crate::file_stat::{Stat, is_settled};

/// Raised with each change of what a thumbnail looks like.
const FORMAT: u32 = 1;
/// Lines of other versions, also of the decoder, are not believed.
const SEED: u64 = (FORMAT as u64) << 32 | PIXELS as u64;

/// Thumbnails by the file that they show.
#[derive(Debug)]
pub struct KnownThumbnails {
    path: PathBuf,
    before: BTreeMap<PathBuf, Known>,
    /// Those of this report, as far as they can be known another time.
    shown: Mutex<BTreeMap<PathBuf, Known>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Known {
    stat: Stat,
    uri: String,
}

/// What a line holds.
#[derive(Serialize, Deserialize)]
struct Line<'a> {
    path: Cow<'a, Path>,
    stat: Stat,
    #[serde(borrow)]
    uri: Cow<'a, str>,
}

impl KnownThumbnails {
    /// Reads the file at `path`. Of a missing one nothing is known, nor of damaged lines.
    pub fn open(path: &Path) -> Self {
        let bytes = fs::read(path).unwrap_or_default();
        let lines = bytes.split(|&byte| byte == b'\n');
        let lines = lines.filter_map(|line| checked_line::parse::<Line>(line, SEED));
        let before = lines.map(|Line { path, stat, uri }| {
            (path.into_owned(), Known { stat, uri: uri.into_owned() })
        });
        KnownThumbnails {
            path: path.to_path_buf(),
            before: before.collect(),
            shown: Mutex::default(),
        }
    }

    /// A `data:` URI of each image file in turn; `None` of one that cannot be read.
    pub(super) fn of(&self, paths: &[&Path]) -> Vec<Option<String>> {
        paths.par_iter().map(|path| self.of_one(path)).collect()
    }

    /// Writes those that were asked for, if there are new ones among them. That it cannot be done is no
    /// error: they are drawn again.
    pub(super) fn save(&self) {
        if let Err(error) = self.write() {
            log::debug!("{error}");
        }
    }

    fn of_one(&self, path: &Path) -> Option<String> {
        let stat = Stat::of(&fs::metadata(path).ok()?);
        if let Some(known) = self.before.get(path).filter(|known| known.stat == stat) {
            self.shown().insert(path.to_path_buf(), known.clone());
            return Some(known.uri.clone());
        }
        let file = image_file::read(path).ok()?;
        let uri = draw(path, &file.bytes)?;
        if is_settled(&file.metadata, file.read_at) {
            let known = Known { stat: Stat::of(&file.metadata), uri: uri.clone() };
            self.shown().insert(path.to_path_buf(), known);
        }
        Some(uri)
    }

    fn write(&self) -> Result<()> {
        let shown = self.shown();
        if shown.iter().all(|(path, known)| self.before.get(path) == Some(known)) {
            return Ok(());
        }
        let mut bytes = Vec::new();
        for (path, Known { stat, uri }) in &*shown {
            let line = Line { path: path.into(), stat: *stat, uri: uri.into() };
            // A path that is not UTF-8 is left out.
            let _ = checked_line::write(&line, SEED, &mut bytes);
        }
        if let Some(dir) = self.path.parent() {
            atomic_file::create_dir(dir)?;
        }
        atomic_file::replace_unsynced(&self.path, &bytes)
    }

    fn shown(&self) -> MutexGuard<'_, BTreeMap<PathBuf, Known>> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::time::{Duration, SystemTime};

    use image::RgbImage;

    use super::*;

    /// Writes a picture of one gray, so long ago that its times tell of the next change.
    fn write(path: &Path, gray: u8) {
        RgbImage::from_pixel(40, 30, image::Rgb([gray; 3])).save(path).unwrap();
        age(path);
    }

    fn age(path: &Path) {
        let time = SystemTime::now() - Duration::from_secs(60);
        File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
    }

    fn num_known(path: &Path) -> usize {
        KnownThumbnails::open(path).before.len()
    }

    #[test]
    fn a_picture_is_drawn_once_until_its_file_changes() {
        let dir = tempfile::tempdir().unwrap();
        let [list, first, second] =
            ["features/list.jsonl", "1.png", "2.png"].map(|name| dir.path().join(name));
        write(&first, 10);
        write(&second, 200);
        let missing = dir.path().join("missing.png");
        let paths = [&first, &second, &missing].map(PathBuf::as_path);
        let thumbnails = KnownThumbnails::open(&list);
        let drawn = thumbnails.of(&paths);
        assert!(drawn[0].is_some() && drawn[0] != drawn[1] && drawn[2].is_none());
        thumbnails.save();
        assert_eq!(num_known(&list), 2);
        // What is known is taken, also where it is not what would be drawn.
        let line = |path: &Path, uri: &str| {
            let stat = Stat::of(&fs::metadata(path).unwrap());
            let mut line = Vec::new();
            let value = Line { path: path.into(), stat, uri: uri.into() };
            checked_line::write(&value, SEED, &mut line).unwrap();
            line
        };
        let mut lines = line(&first, "data:first");
        let damaged = line(&second, "data:second");
        lines.extend(damaged.iter().map(|&byte| if byte == b'2' { b'3' } else { byte }));
        fs::write(&list, &lines).unwrap();
        let thumbnails = KnownThumbnails::open(&list);
        assert_eq!(thumbnails.of(&paths), [Some("data:first".into()), drawn[1].clone(), None]);
        // Not so when the file is another one.
        write(&first, 90);
        let redrawn = KnownThumbnails::open(&list).of(&paths);
        assert!(redrawn[0].is_some() && redrawn[0] != drawn[0] && redrawn[1] == drawn[1]);
    }

    #[test]
    fn only_the_latest_are_kept_and_none_that_may_change_unnoticed() {
        let dir = tempfile::tempdir().unwrap();
        let [list, first, second, young] =
            ["list.jsonl", "1.png", "2.png", "young.png"].map(|name| dir.path().join(name));
        write(&first, 10);
        write(&second, 200);
        let show = |paths: &[&Path]| {
            let thumbnails = KnownThumbnails::open(&list);
            assert!(thumbnails.of(paths).iter().all(Option::is_some));
            thumbnails.save();
        };
        show(&[&first]);
        assert_eq!(num_known(&list), 1);
        show(&[&first, &second]);
        assert_eq!(num_known(&list), 2);
        // Nothing new: not written.
        let written = fs::metadata(&list).unwrap().modified().unwrap();
        show(&[&second]);
        assert_eq!(fs::metadata(&list).unwrap().modified().unwrap(), written);
        write(&second, 201);
        show(&[&second]);
        assert_eq!(num_known(&list), 1);
        RgbImage::new(9, 9).save(&young).unwrap();
        show(&[&second, &young]);
        assert_eq!(num_known(&list), 1);
    }

    #[test]
    fn a_list_that_cannot_be_written_is_no_error() {
        let dir = tempfile::tempdir().unwrap();
        let picture = dir.path().join("1.png");
        write(&picture, 10);
        let thumbnails = KnownThumbnails::open(&picture.join("list.jsonl"));
        assert!(thumbnails.of(&[picture.as_path()])[0].is_some());
        thumbnails.save();
    }
}
