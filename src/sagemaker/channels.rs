//! From the channels of a job to the folders of the splits.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use serde::Deserialize;

use super::config_file;
use super::layout::Layout;
use crate::data::image_folder::Split;
use crate::error::{Error, Result};

/// The channel that holds all three splits.
const WHOLE: &str = "training";
/// What users call a split's folder or channel, the usual name first.
const NAMES: [&[&str]; 3] = [&["train"], &["valid", "validation"], &["test"]];

const LAYOUT: &str = "Give the job one channel `training` with the folders train, valid and test, or \
                      the channels train, valid (or validation) and test.";

/// Where the images are, as a [`Job`](crate::job::Job) has it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Data {
    pub(super) dir: PathBuf,
    pub(super) split_dirs: [PathBuf; 3],
}

impl Data {
    fn of_channels(split_dirs: [PathBuf; 3]) -> Self {
        Data { dir: split_dirs[0].with_file_name(""), split_dirs }
    }
}

#[derive(Deserialize)]
struct Channel {
    #[serde(rename = "TrainingInputMode")]
    input_mode: Option<String>,
}

/// Finds the images in one channel or in three.
///
/// # Errors
/// [`Error::InputMissing`] that names the channels there are; [`Error::BadData`] when there are both
/// forms, or a channel is a pipe.
pub(super) fn find(layout: &Layout) -> Result<Data> {
    require_files(layout)?;
    let separate = NAMES.map(|names| names.iter().find_map(|name| layout.channel_dir(name)));
    match (layout.channel_dir(WHOLE), separate) {
        (Some(dir), [None, None, None]) => {
            let split_dirs = NAMES.map(|names| {
                let there = names.iter().find(|name| dir.join(name).is_dir());
                // That the usual one is missing is said when it is read.
                there.copied().unwrap_or(names[0]).into()
            });
            Ok(Data { dir, split_dirs })
        }
        // Here `training` is another name of `train`.
        (Some(train), [None, Some(valid), Some(test)]) if !train.join("train").is_dir() => {
            Ok(Data::of_channels([train, valid, test]))
        }
        (None, [Some(train), Some(valid), Some(test)]) => {
            Ok(Data::of_channels([train, valid, test]))
        }
        (Some(dir), _) => Err(Error::bad_data(
            dir,
            "there are channels of single splits besides this one, which holds them all",
            LAYOUT,
        )),
        (None, [None, None, None]) => Err(missing(layout, "the channel `training`", WHOLE)),
        (None, separate) => {
            let absent = Split::ALL.into_iter().zip(&separate).find(|(_, dir)| dir.is_none());
            let name = absent.map_or(WHOLE, |(split, _)| split.name());
            Err(missing(layout, "a channel", name))
        }
    }
}

fn missing(layout: &Layout, what: &'static str, channel: &str) -> Error {
    let found = names(layout);
    let found = if found.is_empty() { "There is none.".into() } else { found.join(", ") + "." };
    Error::InputMissing {
        what,
        path: layout.channels_dir().join(channel),
        remedy: format!("{LAYOUT}\n  Channels of this job: {found}"),
    }
}

/// The channels that have a folder.
fn names(layout: &Layout) -> Vec<String> {
    let entries = fs::read_dir(layout.channels_dir()).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// Images are read in any order, and again: a stream will not do.
fn require_files(layout: &Layout) -> Result<()> {
    let path = layout.config_path("inputdataconfig.json");
    let channels: BTreeMap<String, Channel> = config_file::read(&path)?.unwrap_or_default();
    let is_pipe = |channel: &Channel| channel.input_mode.as_deref() == Some("Pipe");
    match channels.iter().find(|(_, channel)| is_pipe(channel)) {
        None => Ok(()),
        Some((name, _)) => Err(Error::bad_data(
            path,
            format!("the channel {name} has the input mode Pipe, a stream"),
            "Set TrainingInputMode to File or FastFile.",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is found where these folders are below `input/data`.
    fn find_in(folders: &[&str]) -> Result<[String; 4], Error> {
        let base = tempfile::tempdir().unwrap();
        let layout = Layout::at(base.path());
        for folder in folders {
            fs::create_dir_all(layout.channels_dir().join(folder)).unwrap();
        }
        let Data { dir, split_dirs: [train, valid, test] } = find(&layout)?;
        let channels_dir = layout.channels_dir();
        let relative = |path: PathBuf| {
            path.strip_prefix(&channels_dir).unwrap_or(&path).to_str().unwrap().to_owned()
        };
        Ok([dir, train, valid, test].map(relative))
    }

    #[test]
    fn one_channel_holds_the_splits_or_each_has_its_own() {
        for (folders, expected) in [
            (
                &["training/train", "training/valid", "training/test"][..],
                ["training", "train", "valid", "test"],
            ),
            (
                &["training/train", "training/validation", "training/test", "weights"],
                ["training", "train", "validation", "test"],
            ),
            (&["train", "valid", "test"], ["", "train", "valid", "test"]),
            (&["training/001.A", "validation", "test"], ["", "training", "validation", "test"]),
        ] {
            assert_eq!(find_in(folders).unwrap(), expected);
        }
    }

    #[test]
    fn what_is_missing_or_ambiguous_is_named() {
        let error = find_in(&["dogs", "weights"]).unwrap_err();
        assert_eq!(error.exit_code(), 66);
        assert!(error.to_string().contains("Channels of this job: dogs, weights."), "{error}");
        let error = find_in(&["train", "test"]).unwrap_err();
        assert_eq!(error.exit_code(), 66);
        assert!(error.to_string().contains("input/data/valid"), "{error}");
        let error = find_in(&["training/train", "test"]).unwrap_err();
        assert_eq!(error.exit_code(), 65);
    }

    #[test]
    fn a_pipe_is_refused() {
        let base = tempfile::tempdir().unwrap();
        let layout = Layout::at(base.path());
        let path = layout.config_path("inputdataconfig.json");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let config = r#"{"training": {"TrainingInputMode": "Pipe", "RecordWrapperType": "None"}}"#;
        fs::write(path, config).unwrap();
        let error = find(&layout).unwrap_err();
        assert!(error.to_string().contains("FastFile"), "{error}");
    }
}
