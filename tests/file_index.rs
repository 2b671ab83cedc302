//! The index of files: what it remembers, and for how long.

#![allow(clippy::unwrap_used)]

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use ec2train::features::file_index::{Entry, FileIndex};
use proptest::prelude::*;
use tempfile::TempDir;

/// A folder with files that were changed a minute ago, and where an index of them goes.
struct Fixture {
    dir: TempDir,
}

impl Fixture {
    fn new() -> Self {
        Fixture { dir: TempDir::new().unwrap() }
    }

    fn index(&self) -> FileIndex {
        FileIndex::open(&self.index_path()).unwrap()
    }

    fn index_path(&self) -> PathBuf {
        self.dir.path().join("features/files.jsonl")
    }

    fn file(&self, name: impl AsRef<OsStr>) -> PathBuf {
        let path = self.dir.path().join(Path::new(name.as_ref()));
        fs::write(&path, "image").unwrap();
        set_age(&path, Duration::from_secs(60));
        path
    }
}

fn set_age(path: &Path, age: Duration) {
    File::options().write(true).open(path).unwrap().set_modified(SystemTime::now() - age).unwrap();
}

fn entry(image: u32) -> Entry {
    let warning = (image % 2 == 1).then(|| format!("truncated: \"{image}\"\n rows"));
    Entry { content: blake3::hash(&image.to_le_bytes()), warning }
}

fn insert(index: &mut FileIndex, path: &Path, entry: Entry) {
    index.insert(path, &path.metadata().unwrap(), SystemTime::now(), entry).unwrap();
}

fn lookup(index: &FileIndex, path: &Path) -> Option<Entry> {
    index.lookup(path, &path.metadata().unwrap())
}

#[test]
fn a_file_that_did_not_change_is_known_also_after_opening_again() {
    let fixture = Fixture::new();
    let paths = [
        fixture.file("a.jpg"),
        fixture.file("\"quoted\"\nand broken.jpg"),
        fixture.file("größer.jpg"),
        fixture.file(OsStr::from_bytes(b"latin-1 \xe9\xff.jpg")),
    ];
    let mut index = fixture.index();
    for (image, path) in paths.iter().enumerate() {
        assert_eq!(lookup(&index, path), None);
        insert(&mut index, path, entry(image as u32));
    }
    for index in [index, fixture.index()] {
        assert_eq!(index.len(), paths.len());
        for (image, path) in paths.iter().enumerate() {
            assert_eq!(lookup(&index, path), Some(entry(image as u32)), "{path:?}");
        }
    }
}

#[test]
fn a_file_that_changed_in_any_way_is_not_known() {
    let fixture = Fixture::new();
    type Change = (&'static str, fn(&Path));
    let changes: [Change; 5] = [
        ("longer", |path| {
            fs::write(path, "images").unwrap();
            set_age(path, Duration::from_secs(60));
        }),
        ("later", |path| set_age(path, Duration::from_secs(30))),
        ("earlier", |path| set_age(path, Duration::from_secs(3600))),
        ("replaced", |path| {
            let modified = path.metadata().unwrap().modified().unwrap();
            let other = path.with_extension("new");
            fs::write(&other, "ima9e").unwrap();
            File::options().write(true).open(&other).unwrap().set_modified(modified).unwrap();
            fs::rename(&other, path).unwrap();
        }),
        ("rewritten and set back", |path| {
            let modified = path.metadata().unwrap().modified().unwrap();
            std::thread::sleep(Duration::from_millis(20));
            fs::write(path, "ima9e").unwrap();
            File::options().write(true).open(path).unwrap().set_modified(modified).unwrap();
        }),
    ];
    for (what, change) in changes {
        let path = fixture.file(what);
        let mut index = fixture.index();
        insert(&mut index, &path, entry(1));
        assert_eq!(lookup(&index, &path), Some(entry(1)));
        change(&path);
        assert_eq!(lookup(&index, &path), None, "{what}");
        assert_eq!(lookup(&fixture.index(), &path), None, "{what}");
        insert(&mut index, &path, entry(2));
        assert_eq!(lookup(&fixture.index(), &path), Some(entry(2)), "{what}");
    }
}

#[test]
fn a_file_that_changed_just_before_it_was_read_is_not_remembered() {
    let fixture = Fixture::new();
    let path = fixture.file("a.jpg");
    let metadata = path.metadata().unwrap();
    let modified = metadata.modified().unwrap();
    let mut index = fixture.index();
    for (ms_before, ms_after) in [(10_000, 0), (0, 0), (0, 1), (0, 1999)] {
        let read_at = modified - Duration::from_millis(ms_before) + Duration::from_millis(ms_after);
        index.insert(&path, &metadata, read_at, entry(0)).unwrap();
        assert_eq!(lookup(&index, &path), None, "{ms_before}, {ms_after}");
    }
    index.insert(&path, &metadata, modified + Duration::from_secs(2), entry(0)).unwrap();
    assert_eq!(lookup(&index, &path), Some(entry(0)));
}

#[test]
fn what_is_known_is_not_written_again() {
    let fixture = Fixture::new();
    let path = fixture.file("a.jpg");
    let mut index = fixture.index();
    insert(&mut index, &path, entry(0));
    let len = fixture.index_path().metadata().unwrap().len();
    insert(&mut index, &path, entry(0));
    assert_eq!(fixture.index_path().metadata().unwrap().len(), len);
}

#[test]
fn an_index_of_superseded_lines_is_rewritten_without_them_or_files_that_are_gone() {
    let fixture = Fixture::new();
    let (kept, gone) = (fixture.file("kept.jpg"), fixture.file("gone.jpg"));
    let mut index = fixture.index();
    insert(&mut index, &gone, entry(0));
    for image in 0..998 {
        insert(&mut index, &kept, entry(image));
    }
    fs::remove_file(&gone).unwrap();
    let num_lines = || fs::read_to_string(fixture.index_path()).unwrap().lines().count();
    assert_eq!(fixture.index().len(), 2);
    assert_eq!(num_lines(), 999);
    insert(&mut index, &kept, entry(999));

    let mut index = fixture.index();
    assert_eq!(num_lines(), 2);
    assert_eq!((index.len(), lookup(&index, &kept)), (1, Some(entry(999))));
    // What is added afterwards goes into the new file, which is not rewritten for nothing.
    insert(&mut index, &kept, entry(1000));
    assert_eq!(lookup(&fixture.index(), &kept), Some(entry(1000)));
    assert_eq!(num_lines(), 3);
}

#[test]
fn a_whole_index_is_not_rewritten_at_every_opening() {
    let fixture = Fixture::new();
    let mut index = fixture.index();
    for image in 0..1100 {
        insert(&mut index, &fixture.file(image.to_string()), entry(image));
    }
    let inode = || {
        use std::os::unix::fs::MetadataExt;
        fixture.index_path().metadata().unwrap().ino()
    };
    assert_eq!(fixture.index().len(), 1100);
    let rewritten = inode();
    assert_eq!(fixture.index().len(), 1100);
    assert_eq!(inode(), rewritten);
}

#[test]
fn an_index_deleted_while_in_use_is_no_error() {
    let fixture = Fixture::new();
    let path = fixture.file("a.jpg");
    let mut index = fixture.index();
    fs::remove_dir_all(fixture.index_path().parent().unwrap()).unwrap();
    insert(&mut index, &path, entry(0));
    assert_eq!(lookup(&index, &path), Some(entry(0)));
    assert!(fixture.index().is_empty());
}

/// Tells the child of the test below in which folder to work.
const CHILD_DIR: &str = "EC2TRAIN_TEST_INDEX_DIR";

#[test]
#[ignore = "the child of another test"]
fn insert_until_the_disk_is_full() {
    let Some(dir) = std::env::var_os(CHILD_DIR) else { return };
    let dir = Path::new(&dir);
    let mut index = FileIndex::open(&dir.join("files.jsonl")).unwrap();
    let path = dir.join("a.jpg");
    for image in 0..10_000 {
        let metadata = path.metadata().unwrap();
        if let Err(error) = index.insert(&path, &metadata, SystemTime::now(), entry(image)) {
            assert_eq!(error.exit_code(), 74);
            assert!(error.to_string().contains("files.jsonl"), "{error}");
            println!("failed at {image}");
            return;
        }
    }
    unreachable!("the limit was not reached");
}

#[test]
fn a_full_disk_is_an_error_and_costs_no_earlier_line() {
    let fixture = Fixture::new();
    let path = fixture.file("a.jpg");
    // SIGXFSZ is ignored, so that a write beyond the limit fails as it does on a full disk.
    let output = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 40; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args(["insert_until_the_disk_is_full", "--exact", "--ignored", "--nocapture"])
        .env(CHILD_DIR, fixture.dir.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let failed = text.lines().find_map(|line| line.split("failed at ").nth(1)).unwrap();
    let failed: u32 = failed.parse().unwrap();

    let index_path = fixture.dir.path().join("files.jsonl");
    assert!(!fs::read(&index_path).unwrap().ends_with(b"\n"), "no line was torn");
    let mut index = FileIndex::open(&index_path).unwrap();
    assert_eq!(lookup(&index, &path), Some(entry(failed - 1)));
    // The torn line is written over.
    insert(&mut index, &path, entry(failed));
    let index = FileIndex::open(&index_path).unwrap();
    assert_eq!(lookup(&index, &path), Some(entry(failed)));
    let lines = fs::read_to_string(&index_path).unwrap();
    assert_eq!(lines.lines().count() as u32, failed + 1);
}

#[derive(Debug, Clone)]
enum Event {
    Insert(usize, u32),
    Reopen,
    CutOff(usize),
    Flip(usize, u8),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => (0usize..4, any::<u32>()).prop_map(|(file, image)| Event::Insert(file, image)),
        2 => Just(Event::Reopen),
        1 => any::<usize>().prop_map(Event::CutOff),
        2 => (any::<usize>(), 1u8..).prop_map(|(place, mask)| Event::Flip(place, mask)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_happens_to_the_index_only_what_was_inserted_is_found(
        events in prop::collection::vec(event(), 1..40),
    ) {
        let fixture = Fixture::new();
        let paths: Vec<PathBuf> = (0..4).map(|n| fixture.file(n.to_string())).collect();
        let mut inserted = vec![Vec::new(); 4];
        let mut is_damaged = false;
        let mut index = fixture.index();
        for event in events {
            let mut bytes = fs::read(fixture.index_path()).unwrap();
            match event {
                Event::Insert(file, image) => {
                    insert(&mut index, &paths[file], entry(image));
                    inserted[file].push(entry(image));
                    prop_assert_eq!(lookup(&index, &paths[file]), Some(entry(image)));
                }
                Event::Reopen => index = fixture.index(),
                Event::CutOff(place) => {
                    bytes.truncate(place % (bytes.len() + 1));
                    is_damaged = true;
                    fs::write(fixture.index_path(), &bytes).unwrap();
                    index = fixture.index();
                }
                Event::Flip(place, mask) => {
                    let before = fixture.index().len();
                    let place = place % (bytes.len() + 1);
                    if let Some(byte) = bytes.get_mut(place) {
                        *byte ^= mask;
                        is_damaged = true;
                    }
                    fs::write(fixture.index_path(), &bytes).unwrap();
                    index = fixture.index();
                    // Two lines, if it was the newline between them.
                    prop_assert!(index.len() + 2 >= before);
                }
            }
            for (path, entries) in paths.iter().zip(&inserted) {
                match lookup(&index, path) {
                    found if !is_damaged => prop_assert_eq!(found.as_ref(), entries.last()),
                    found => prop_assert!(found.is_none_or(|found| entries.contains(&found))),
                }
            }
        }
        paths.iter().for_each(|path| insert(&mut index, path, entry(7)));
        let index = fixture.index();
        prop_assert!(paths.iter().all(|path| lookup(&index, path) == Some(entry(7))));
    }
}
