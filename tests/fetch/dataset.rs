//! A data set from its archive to its folder.

use std::fs;
use std::path::{Path, PathBuf};

use ec2train::Error;
use ec2train::fetch::{Progress, Source, fetch_dataset};
use tempfile::{TempDir, tempdir};
use zip::CompressionMethod;

use crate::server::{Server, serve};
use crate::unpack::write_zip;
use crate::{impatient, names, sha256};

const FILES: [(&str, &[u8]); 5] = [
    ("dogImages/train/001.A/1.jpg", b"train"),
    ("dogImages/valid/001.A/2.jpg", b"valid"),
    ("dogImages/test/001.A/3.jpg", b"test"),
    ("dogImages/.DS_Store", b"junk"),
    ("__MACOSX/dogImages/._train", b"junk"),
];

struct Setting {
    dir: TempDir,
    archive: Vec<u8>,
    server: Server,
}

impl Setting {
    fn new(files: &[(&str, &[u8])]) -> Setting {
        let dir = tempdir().unwrap();
        let path = dir.path().join("archive");
        write_zip(&path, files, CompressionMethod::Deflated);
        let archive = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        Setting::serving(dir, archive)
    }

    fn serving(dir: TempDir, archive: Vec<u8>) -> Setting {
        let served = archive.clone();
        let server = Server::start(move |r, s| serve(r, s, &served, "\"v1\"", usize::MAX));
        Setting { dir, archive, server }
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn run(&self) -> Result<(), Error> {
        let source = Source::new(&self.server.url, self.data().join("dogImages.zip")).archive();
        let dir = self.data().join("dogImages");
        fetch_dataset(&source, &dir, &impatient(), &Progress::lines())
    }
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

#[test]
fn the_folder_appears_whole_and_the_archive_goes() {
    let setting = Setting::new(&FILES);
    setting.run().unwrap();
    let data = setting.data();
    assert_eq!(names(&data), ["dogImages", "dogImages.zip.sha256"]);
    assert_eq!(names(&data.join("dogImages")), ["test", "train", "valid"]);
    assert_eq!(read(&data.join("dogImages/valid/001.A/2.jpg")), "valid");
    assert_eq!(
        read(&data.join("dogImages.zip.sha256")),
        format!("{}  dogImages.zip\n", sha256(&setting.archive))
    );
}

#[test]
fn what_is_there_is_not_fetched_again() {
    let setting = Setting::new(&FILES);
    setting.run().unwrap();
    setting.run().unwrap();
    assert_eq!(setting.server.requests().len(), 1);
}

#[test]
fn splits_at_the_top_of_the_archive_are_found_too() {
    let files = [("train/a/1", &b"1"[..]), ("valid/a/2", b"2"), ("test/a/3", b"3")];
    let setting = Setting::new(&files);
    setting.run().unwrap();
    assert_eq!(names(&setting.data().join("dogImages")), ["test", "train", "valid"]);
    assert_eq!(names(&setting.data()), ["dogImages", "dogImages.zip.sha256"]);
}

#[test]
fn an_archive_brought_by_hand_is_used_and_an_unfinished_unpacking_is_redone() {
    let setting = Setting::new(&FILES);
    let data = setting.data();
    fs::create_dir_all(data.join("dogImages.unpacking/dogImages/train")).unwrap();
    fs::write(data.join("dogImages.unpacking/dogImages/train/old"), b"old").unwrap();
    fs::create_dir(data.join("dogImages")).unwrap();
    fs::write(data.join("dogImages.zip"), &setting.archive).unwrap();
    setting.run().unwrap();
    assert!(setting.server.requests().is_empty());
    assert_eq!(names(&data.join("dogImages/train")), ["001.A"]);
}

#[test]
fn a_folder_with_a_split_missing_is_not_touched() {
    let setting = Setting::new(&FILES);
    let dir = setting.data().join("dogImages");
    fs::create_dir_all(dir.join("train")).unwrap();
    fs::create_dir_all(dir.join("test")).unwrap();
    let error = setting.run().unwrap_err();
    assert_eq!(error.exit_code(), 65);
    assert!(error.to_string().contains("has no valid"), "{error}");
    assert_eq!(names(&dir), ["test", "train"]);
    assert!(setting.server.requests().is_empty());
}

#[test]
fn an_archive_of_something_else_leaves_no_folder() {
    let setting = Setting::new(&[("cats/1.jpg", b"miau")]);
    let error = setting.run().unwrap_err();
    assert_eq!(error.exit_code(), 65);
    assert!(error.to_string().contains("train, valid and test"), "{error}");
    assert_eq!(names(&setting.data()), ["dogImages.zip", "dogImages.zip.sha256"]);
}

#[test]
fn a_damaged_archive_names_the_image_and_leaves_no_folder() {
    let whole = Setting::new(&FILES);
    let mut damaged = whole.archive.clone();
    let at = damaged.windows(5).position(|bytes| bytes == b"valid").unwrap();
    // The first bytes of the compressed data behind the name "dogImages/valid/001.A/2.jpg".
    damaged[at + "valid/001.A/2.jpg".len() + 2] ^= 1;
    let setting = Setting::serving(tempdir().unwrap(), damaged);
    let error = setting.run().unwrap_err();
    assert_eq!(error.exit_code(), 65);
    assert!(error.to_string().contains("valid/001.A/2.jpg"), "{error}");
    assert_eq!(names(&setting.data()), ["dogImages.zip", "dogImages.zip.sha256"]);
}
