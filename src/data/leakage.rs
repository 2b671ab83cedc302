//! The same image in train and in a split that is to judge it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::file_note::path_as_text;
use super::image_folder::Split;

/// Two files with the same bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leak {
    /// In `train`.
    #[serde(serialize_with = "path_as_text")]
    pub train: PathBuf,
    /// In `valid` or `test`.
    #[serde(serialize_with = "path_as_text")]
    pub held_out: PathBuf,
}

/// Every file of `valid` and `test` whose content is also in `train`, in the order given.
pub fn find_leaks<'a>(
    files: impl Iterator<Item = (Split, &'a Path, blake3::Hash)> + Clone,
) -> Vec<Leak> {
    let train: HashMap<blake3::Hash, &Path> = files
        .clone()
        .filter(|(split, ..)| *split == Split::Train)
        .map(|(_, path, content)| (content, path))
        .collect();
    files
        .filter(|(split, ..)| *split != Split::Train)
        .filter_map(|(_, held_out, content)| {
            let train = train.get(&content)?;
            Some(Leak { train: train.to_path_buf(), held_out: held_out.to_path_buf() })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_content_shared_with_train_is_a_leak() {
        let file = |split, path: &'static str, content: &str| {
            (split, Path::new(path), blake3::hash(content.as_bytes()))
        };
        let files = [
            file(Split::Train, "train/a.jpg", "1"),
            file(Split::Train, "train/b.jpg", "2"),
            file(Split::Valid, "valid/c.jpg", "3"),
            file(Split::Test, "test/d.jpg", "3"),
            file(Split::Test, "test/e.jpg", "2"),
        ];
        let leaks = find_leaks(files.into_iter());
        assert_eq!(leaks, [Leak { train: "train/b.jpg".into(), held_out: "test/e.jpg".into() }]);
    }
}
