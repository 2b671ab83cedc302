//! Scanning folders: what is found, in which order, and which faults are errors.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use ec2train::Error;
use ec2train::data::image_folder::{ImageFolder, Sample, Split, require_all_classes};
use tempfile::TempDir;

/// A data set of empty files: scanning does not open them.
fn data_set(files: &[&str]) -> TempDir {
    let root = TempDir::new().unwrap();
    for file in files {
        touch(&root.path().join(file));
    }
    root
}

fn touch(path: &Path) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, "").unwrap();
}

fn relative(folder: &ImageFolder, split: Split) -> Vec<(String, usize)> {
    folder
        .samples(split)
        .iter()
        .map(|Sample { path, target }| {
            (path.strip_prefix(&folder.root).unwrap().to_str().unwrap().to_owned(), *target)
        })
        .collect()
}

/// File names of what was skipped, with the reasons.
fn skipped(folder: &ImageFolder) -> Vec<(String, String)> {
    folder
        .skipped
        .iter()
        .map(|skipped| {
            let path = skipped.path.strip_prefix(&folder.root).unwrap();
            (path.to_str().unwrap().to_owned(), skipped.reason.clone())
        })
        .collect()
}

#[track_caller]
fn assert_fails(root: &Path, exit_code: u8, at: PathBuf, words: &[&str]) {
    let error = ImageFolder::scan(root).unwrap_err();
    let text = error.to_string();
    assert_eq!(error.exit_code(), exit_code, "{text}");
    assert!(text.contains(&at.display().to_string()), "{text}");
    for word in words {
        assert!(text.contains(word), "`{word}` is not in: {text}");
    }
}

const COMPLETE: [&str; 6] = [
    "train/cat/1.jpg",
    "train/dog/1.jpg",
    "valid/cat/1.jpg",
    "valid/dog/1.jpg",
    "test/cat/1.jpg",
    "test/dog/1.jpg",
];

#[test]
fn classes_and_samples_come_sorted_whatever_order_the_disk_has() {
    let root = data_set(&[
        "train/002.b/2.jpg",
        "train/002.b/10.jpg",
        "train/010.c/1.jpg",
        "train/001.a/9.jpg",
        "valid/002.b/1.jpg",
        "valid/001.a/1.jpg",
        "valid/010.c/1.jpg",
        "test/010.c/1.jpg",
        "test/001.a/1.jpg",
        "test/002.b/1.jpg",
    ]);
    let folder = ImageFolder::scan(root.path()).unwrap();
    assert_eq!(folder.classes.class_names(), ["001.a", "002.b", "010.c"]);
    let expected = [
        ("train/001.a/9.jpg", 0),
        ("train/002.b/10.jpg", 1),
        ("train/002.b/2.jpg", 1),
        ("train/010.c/1.jpg", 2),
    ];
    assert_eq!(relative(&folder, Split::Train), expected.map(|(path, t)| (path.to_owned(), t)));
    assert_eq!(folder.num_samples(), 10);
    assert!(folder.skipped.is_empty());
}

#[test]
fn nested_folders_come_in_torchvisions_order() {
    let root = data_set(&COMPLETE);
    for file in ["a/x.jpg", "a/b/x.jpg", "a-b/x.jpg", "b.jpg"] {
        touch(&root.path().join("train/cat").join(file));
    }
    let folder = ImageFolder::scan(root.path()).unwrap();
    let names: Vec<String> =
        relative(&folder, Split::Train).into_iter().map(|(path, _)| path).collect();
    // As torchvision.datasets.ImageFolder lists them: files of a folder before its subfolders.
    assert_eq!(
        names,
        [
            "train/cat/1.jpg",
            "train/cat/b.jpg",
            "train/cat/a/x.jpg",
            "train/cat/a-b/x.jpg",
            "train/cat/a/b/x.jpg",
            "train/dog/1.jpg"
        ]
    );
}

#[test]
fn every_image_extension_counts_in_any_case() {
    let root = data_set(&COMPLETE);
    let names =
        ["a.JPG", "b.Jpeg", "c.png", "d.WebP", "e.bmp", "f.gif", "g.tif", "h.TIFF", "i.j.jpg"];
    for name in names {
        touch(&root.path().join("train/cat").join(name));
    }
    let folder = ImageFolder::scan(root.path()).unwrap();
    assert_eq!(folder.samples(Split::Train).len(), 2 + names.len());
}

#[test]
fn what_is_not_used_is_listed_with_a_reason_and_hidden_files_are_not() {
    let root = data_set(&COMPLETE);
    for name in [
        "train/cat/notes.txt",
        "train/cat/jpg",
        "train/cat/.hidden.jpg",
        "train/cat/.thumbnails/1.jpg",
        "train/.cache/1.jpg",
        "train/stray.jpg",
        "README.md",
    ] {
        touch(&root.path().join(name));
    }
    symlink("nowhere.jpg", root.path().join("test/dog/broken.jpg")).unwrap();
    let folder = ImageFolder::scan(root.path()).unwrap();
    assert_eq!(folder.num_samples(), COMPLETE.len());
    assert_eq!(folder.classes.class_names(), ["cat", "dog"]);
    let extension = "does not have the extension of an image".to_owned();
    assert_eq!(
        skipped(&folder),
        [
            ("train/cat/jpg".to_owned(), extension.clone()),
            ("train/cat/notes.txt".to_owned(), extension),
            ("train/stray.jpg".to_owned(), "lies outside of the class folders".to_owned()),
            (
                "test/dog/broken.jpg".to_owned(),
                "cannot be read: a broken symlink, or no permission".to_owned()
            ),
        ]
    );
}

#[test]
fn a_named_pipe_is_skipped_not_opened() {
    let root = data_set(&COMPLETE);
    let pipe = root.path().join("train/cat/pipe.jpg");
    let status = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(status.success());
    let folder = ImageFolder::scan(root.path()).unwrap();
    assert_eq!(
        skipped(&folder),
        [("train/cat/pipe.jpg".to_owned(), "is neither a file nor a folder".to_owned())]
    );
}

#[test]
fn symlinked_roots_splits_classes_and_files_work() {
    let elsewhere = data_set(&COMPLETE);
    let root = TempDir::new().unwrap();
    for split in ["valid", "test"] {
        symlink(elsewhere.path().join(split), root.path().join(split)).unwrap();
    }
    fs::create_dir_all(root.path().join("train/dog")).unwrap();
    symlink(elsewhere.path().join("train/cat"), root.path().join("train/cat")).unwrap();
    symlink(elsewhere.path().join("train/dog/1.jpg"), root.path().join("train/dog/1.jpg")).unwrap();
    let link = elsewhere.path().join("link");
    symlink(root.path(), &link).unwrap();

    let folder = ImageFolder::scan(&link).unwrap();
    assert_eq!(folder.num_samples(), COMPLETE.len());
    assert!(folder.skipped.is_empty());
}

#[test]
fn symlink_loops_end_and_no_image_is_listed_twice() {
    let root = data_set(&COMPLETE);
    let cat = root.path().join("train/cat");
    touch(&cat.join("more/2.jpg"));
    symlink("..", cat.join("more/up")).unwrap();
    symlink(".", cat.join("self")).unwrap();
    symlink("more", cat.join("other")).unwrap();
    symlink("ring", cat.join("ring")).unwrap();
    let folder = ImageFolder::scan(root.path()).unwrap();
    let names: Vec<String> =
        relative(&folder, Split::Train).into_iter().map(|(path, _)| path).collect();
    assert_eq!(names, ["train/cat/1.jpg", "train/cat/more/2.jpg", "train/dog/1.jpg"]);
    assert_eq!(folder.skipped.len(), 4, "{:?}", folder.skipped);
}

#[test]
fn a_missing_root_is_exit_66_with_both_remedies() {
    let parent = TempDir::new().unwrap();
    let root = parent.path().join("dogImages");
    assert_fails(&root, 66, root.clone(), &["ec2train fetch", "ec2train train --sample"]);
    symlink("gone", &root).unwrap();
    assert_fails(&root, 66, root.clone(), &["not found"]);
}

#[test]
fn a_root_or_split_that_is_a_file_is_an_error() {
    let root = data_set(&["dogImages"]);
    let file = root.path().join("dogImages");
    assert_fails(&file, 65, file.clone(), &["not a folder"]);

    let root = data_set(&["train"]);
    assert_fails(root.path(), 65, root.path().join("train"), &["not a folder"]);
}

#[test]
fn a_missing_or_empty_split_is_an_error() {
    for split in Split::ALL {
        let root = data_set(&COMPLETE);
        let dir = root.path().join(split.name());
        fs::remove_dir_all(&dir).unwrap();
        assert_fails(root.path(), 65, dir.clone(), &["missing"]);

        fs::create_dir(&dir).unwrap();
        assert_fails(root.path(), 65, dir.clone(), &["no images"]);

        touch(&dir.join("not-in-a-class.jpg"));
        assert_fails(root.path(), 65, dir.clone(), &["no images"]);
    }
}

#[test]
fn classes_of_train_without_images_are_all_named() {
    let root = data_set(&COMPLETE);
    fs::create_dir(root.path().join("train/bird")).unwrap();
    touch(&root.path().join("train/fish/notes.txt"));
    assert_fails(root.path(), 65, root.path().join("train"), &["bird, fish"]);
}

#[test]
fn classes_unknown_to_train_are_all_named() {
    for split in [Split::Valid, Split::Test] {
        let root = data_set(&COMPLETE);
        let dir = root.path().join(split.name());
        touch(&dir.join("wolf/1.jpg"));
        touch(&dir.join("fox/1.jpg"));
        assert_fails(root.path(), 65, dir, &["fox, wolf", "train"]);
    }
}

#[test]
fn a_class_that_only_train_has_is_no_error() {
    let root = data_set(&COMPLETE);
    touch(&root.path().join("train/ant/1.jpg"));
    fs::create_dir(root.path().join("valid/ant")).unwrap();
    let folder = ImageFolder::scan(root.path()).unwrap();
    assert_eq!(folder.classes.len(), 3);
    assert_eq!(relative(&folder, Split::Valid)[0], ("valid/cat/1.jpg".to_owned(), 1));
}

#[cfg(target_os = "linux")]
#[test]
fn a_class_name_that_is_not_utf8_is_an_error_and_such_a_file_name_is_not() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let root = data_set(&COMPLETE);
    touch(&root.path().join("train/cat").join(OsStr::from_bytes(b"\xff.jpg")));
    assert_eq!(ImageFolder::scan(root.path()).unwrap().samples(Split::Train).len(), 3);
    touch(&root.path().join("train").join(OsStr::from_bytes(b"caf\xe9/1.jpg")));
    assert_fails(root.path(), 65, root.path().join("train"), &["UTF-8"]);
}

#[test]
fn after_decoding_an_emptied_class_of_train_or_an_emptied_split_is_an_error() {
    let root = data_set(&COMPLETE);
    let folder = ImageFolder::scan(root.path()).unwrap();
    for split in Split::ALL {
        require_all_classes(&folder, split, |_| true).unwrap();
        let error = require_all_classes(&folder, split, |_| false).unwrap_err();
        assert!(matches!(&error, Error::BadData { path, .. } if path.ends_with(split.name())));
    }
    let only_cats = |sample: &Sample| sample.target == 0;
    let text = require_all_classes(&folder, Split::Train, only_cats).unwrap_err().to_string();
    assert!(text.contains("dog") && !text.contains("cat"), "{text}");
    require_all_classes(&folder, Split::Test, only_cats).unwrap();
}
