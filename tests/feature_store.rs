//! The feature store: what it gives back, after whatever happened to its file.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use ec2train::config::NUM_FEATURES;
use ec2train::features::prune::prune;
use ec2train::features::store::{FeatureStore, Recipe};
use proptest::prelude::*;
use set_on_drop::SetOnDrop;
use tempfile::TempDir;

#[path = "common/set_on_drop.rs"]
mod set_on_drop;

const HEADER_BYTES: usize = 4096;
const RECORD_BYTES: usize = 4 + 4 + 32 + 4 * NUM_FEATURES + 8;
/// Tells the children of this test in which folder to work.
const CHILD_DIR: &str = "EC2TRAIN_TEST_STORE_DIR";

fn recipe() -> Recipe {
    Recipe {
        transform: serde_json::json!({"resize": 256, "crop": 224}),
        weights_sha256: "06".repeat(32),
        engine: "fp32".into(),
    }
}

fn open(dir: &Path) -> FeatureStore {
    FeatureStore::open(dir, &recipe()).unwrap()
}

fn content(image: u32) -> blake3::Hash {
    blake3::hash(&image.to_le_bytes())
}

/// The features that an image is given here: any bits, NaNs among them, no two images alike.
fn row(image: u32, view: u32) -> Vec<f32> {
    let mut state = u64::from(image) << 32 | u64::from(view);
    let next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        f32::from_bits((state >> 32) as u32)
    };
    std::iter::repeat_with(next).take(NUM_FEATURES).collect()
}

fn bits(row: &[f32]) -> Vec<u32> {
    row.iter().map(|value| value.to_bits()).collect()
}

fn append(store: &FeatureStore, image: u32, view: u32) {
    store.append(&content(image), view, &row(image, view)).unwrap();
}

/// Whether the features are there. They must then be the image's.
fn holds(store: &FeatureStore, image: u32, view: u32) -> bool {
    let mut found = vec![0.25; NUM_FEATURES];
    let is_there = store.read(&content(image), view, &mut found);
    if is_there {
        assert_eq!(bits(&found), bits(&row(image, view)), "image {image}, view {view}");
    } else {
        assert_eq!(found, [0.25; NUM_FEATURES], "the row was touched");
    }
    is_there
}

fn only_file(dir: &Path) -> PathBuf {
    let paths: Vec<PathBuf> = fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    assert_eq!(paths.len(), 1, "{paths:?}");
    paths[0].clone()
}

#[test]
fn every_bit_comes_back_also_after_opening_again() {
    let dir = TempDir::new().unwrap();
    let mut special = row(0, 0);
    special[..6].copy_from_slice(&[-0.0, f32::NAN, f32::INFINITY, f32::MIN_POSITIVE, 1e-45, 0.0]);
    special[6] = f32::from_bits(0x7fa0_1234); // a signalling NaN with a payload
    let store = open(dir.path());
    assert!(store.is_empty());
    store.append(&content(1), 0, &special).unwrap();
    append(&store, 1, 7);
    append(&store, 2, 0);
    store.sync().unwrap();
    for store in [store, open(dir.path())] {
        assert_eq!(store.len(), 3);
        let mut found = vec![0.0; NUM_FEATURES];
        assert!(store.read(&content(1), 0, &mut found));
        assert_eq!(bits(&found), bits(&special));
        assert!(holds(&store, 1, 7) && holds(&store, 2, 0));
        assert!(!holds(&store, 2, 7) && !store.contains(&content(2), 7));
        assert!(!holds(&store, 3, 0) && !store.contains(&content(3), 0));
    }
}

#[test]
fn what_is_there_is_not_written_twice() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path());
    append(&store, 1, 0);
    append(&store, 1, 0);
    assert_eq!(store.len(), 1);
    assert_eq!(store.path().metadata().unwrap().len(), (HEADER_BYTES + RECORD_BYTES) as u64);
}

#[test]
fn features_of_another_recipe_are_not_there() {
    let dir = TempDir::new().unwrap();
    append(&open(dir.path()), 1, 0);
    let bf16 = Recipe { engine: "bf16".into(), ..recipe() };
    let store = FeatureStore::open(dir.path(), &bf16).unwrap();
    assert!(!store.contains(&content(1), 0));
    assert!(holds(&open(dir.path()), 1, 0));

    // Under the name of one, the content of the other.
    fs::copy(open(dir.path()).path(), store.path()).unwrap();
    let store = FeatureStore::open(dir.path(), &bf16).unwrap();
    assert!(store.is_empty());
    append(&store, 2, 0);
    assert!(holds(&FeatureStore::open(dir.path(), &bf16).unwrap(), 2, 0));
}

#[test]
fn a_file_that_is_no_store_is_replaced() {
    for foreign in [&b""[..], b"hello", &[0; 3 * HEADER_BYTES], &[0xff; HEADER_BYTES - 1]] {
        let dir = TempDir::new().unwrap();
        let path = open(dir.path()).path().to_path_buf();
        fs::write(&path, foreign).unwrap();
        let store = open(dir.path());
        append(&store, 1, 0);
        assert!(holds(&open(dir.path()), 1, 0));
        assert_eq!(only_file(dir.path()), path);
    }
}

#[test]
fn damage_since_the_opening_is_noticed_and_its_place_used_again() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path());
    (0..3).for_each(|image| append(&store, image, 0));
    let file = OpenOptions::new().write(true).open(store.path()).unwrap();
    file.write_all_at(&[0xaa; 512], (HEADER_BYTES + RECORD_BYTES + 1000) as u64).unwrap();
    assert!(store.contains(&content(1), 0));
    assert!(!holds(&store, 1, 0));
    assert!(!store.contains(&content(1), 0));
    append(&store, 1, 0);
    for store in [store, open(dir.path())] {
        assert!((0..3).all(|image| holds(&store, image, 0)));
        assert_eq!(file.metadata().unwrap().len(), (HEADER_BYTES + 3 * RECORD_BYTES) as u64);
    }
}

#[test]
fn a_store_deleted_while_in_use_goes_on_and_is_new_at_the_next_opening() {
    let dir = TempDir::new().unwrap();
    let folder = dir.path().join("features");
    let store = open(&folder);
    append(&store, 1, 0);
    fs::remove_dir_all(&folder).unwrap();
    append(&store, 2, 0);
    assert!(holds(&store, 1, 0) && holds(&store, 2, 0));
    store.sync().unwrap();
    assert!(open(&folder).is_empty());
}

#[test]
fn a_store_cut_off_while_in_use_loses_what_was_cut_off() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path());
    (0..4).for_each(|image| append(&store, image, 0));
    let len = (HEADER_BYTES + 2 * RECORD_BYTES + 77) as u64;
    OpenOptions::new().write(true).open(store.path()).unwrap().set_len(len).unwrap();
    assert_eq!([0, 1, 2, 3].map(|image| holds(&store, image, 0)), [true, true, false, false]);
    append(&store, 4, 0);
    let store = open(dir.path());
    assert_eq!([0, 1, 2, 4].map(|image| holds(&store, image, 0)), [true, true, false, true]);
}

#[test]
fn readers_see_whole_records_while_one_thread_appends() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path());
    let is_done = AtomicBool::new(false);
    thread::scope(|scope| {
        let _end = SetOnDrop(&is_done);
        for _ in 0..3 {
            scope.spawn(|| {
                while !is_done.load(Ordering::Acquire) {
                    for image in 0..200 {
                        let was_there = store.contains(&content(image), 0);
                        assert!(!was_there || holds(&store, image, 0));
                    }
                }
                assert!((0..200).all(|image| holds(&store, image, 0)));
            });
        }
        (0..200).for_each(|image| append(&store, image, 0));
    });
}

#[test]
fn two_stores_on_one_file_lose_records_but_never_mix_them() {
    let dir = TempDir::new().unwrap();
    let stores = [open(dir.path()), open(dir.path())];
    for image in 0..20 {
        append(&stores[image as usize % 2], image, 0);
    }
    let last = open(dir.path());
    let counts = [&stores[0], &stores[1], &last]
        .map(|store| (0..20).filter(|&image| holds(store, image, 0)).count());
    assert!(counts[2] >= 10, "{counts:?}");
}

#[test]
fn unused_files_are_deleted_oldest_first_until_the_rest_is_small_enough() {
    let dir = TempDir::new().unwrap();
    let recipes: Vec<Recipe> =
        (0..4).map(|n| Recipe { engine: format!("engine-{n}"), ..recipe() }).collect();
    let paths: Vec<PathBuf> = recipes
        .iter()
        .zip([30, 10, 20, 40])
        .map(|(recipe, seconds)| {
            let store = FeatureStore::open(dir.path(), recipe).unwrap();
            append(&store, 1, 0);
            let time = std::time::UNIX_EPOCH + Duration::from_secs(seconds);
            File::open(store.path()).unwrap().set_modified(time).unwrap();
            store.path().to_path_buf()
        })
        .collect();
    fs::write(dir.path().join("files.jsonl"), "").unwrap();
    let left = |max_bytes| {
        prune(dir.path(), &[&recipes[1]], max_bytes).unwrap();
        paths.iter().map(|path| path.exists()).collect::<Vec<_>>()
    };
    let file_bytes = (HEADER_BYTES + RECORD_BYTES) as u64;
    assert_eq!(left(3 * file_bytes), [true; 4]);
    assert_eq!(left(3 * file_bytes - 1), [true, true, false, true]);
    assert_eq!(left(0), [false, true, false, false]);
    assert!(dir.path().join("files.jsonl").exists());
}

#[test]
#[should_panic(expected = "a row of features")]
fn a_row_of_another_length_is_refused() {
    let dir = TempDir::new().unwrap();
    open(dir.path()).append(&content(1), 0, &[0.0; 5]).unwrap();
}

// --- A process that dies, a disk that is full ---------------------------------------------------

/// Starts this test binary on one of the two tests below, with the folder to work in.
fn child(test: &str, dir: &Path) -> Command {
    // SIGXFSZ is ignored, so that a write beyond the limit fails as it does on a full disk. The
    // limit is 200 or 400 KB, as the shell counts.
    let limit = if test == FILL { "trap '' XFSZ; ulimit -f 400; " } else { "" };
    let mut command = Command::new("sh");
    command
        .args(["-c", &format!("{limit} exec \"$0\" \"$@\"")])
        .arg(std::env::current_exe().unwrap())
        .args([test, "--exact", "--ignored", "--nocapture", "--test-threads=1"])
        .env(CHILD_DIR, dir)
        .stdout(Stdio::piped());
    command
}

/// The numbers of the images that a child said it had appended.
fn reported(output: impl BufRead) -> Vec<u32> {
    // The test harness's own words may stand before the first one.
    let lines = output.lines().map_while(Result::ok);
    lines.filter_map(|line| line.split("appended ").nth(1)?.parse().ok()).collect()
}

const APPEND: &str = "append_until_killed";
const FILL: &str = "append_until_the_disk_is_full";

#[test]
#[ignore = "the child of another test"]
fn append_until_killed() {
    let Some(dir) = std::env::var_os(CHILD_DIR) else { return };
    let store = open(Path::new(&dir));
    for image in store.len() as u32.. {
        append(&store, image, 0);
        println!("appended {image}");
    }
}

#[test]
#[ignore = "the child of another test"]
fn append_until_the_disk_is_full() {
    let Some(dir) = std::env::var_os(CHILD_DIR) else { return };
    let store = open(Path::new(&dir));
    for image in 0..1000 {
        match store.append(&content(image), 0, &row(image, 0)) {
            Ok(()) => println!("appended {image}"),
            Err(error) => {
                assert_eq!(error.exit_code(), 74);
                assert!(error.to_string().contains(store.path().to_str().unwrap()), "{error}");
                assert!((0..image).all(|image| holds(&store, image, 0)));
                assert!(!holds(&store, image, 0));
                // A second attempt fails as the first did.
                assert!(store.append(&content(image), 0, &row(image, 0)).is_err());
                return;
            }
        }
    }
    unreachable!("the limit was not reached");
}

#[test]
fn nothing_that_was_appended_is_lost_when_the_process_is_killed() {
    let dir = TempDir::new().unwrap();
    let mut num_whole = 0;
    for round in 0..6 {
        let mut child = child(APPEND, dir.path()).spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        while !line.contains("appended ") {
            line.clear();
            assert_ne!(output.read_line(&mut line).unwrap(), 0, "the child ended");
        }
        thread::sleep(Duration::from_millis(3 * round));
        child.kill().unwrap(); // SIGKILL
        child.wait().unwrap();
        let first = reported(line.as_bytes());
        let last = reported(output).last().copied().unwrap_or(first[0]);

        let store = open(dir.path());
        assert!(store.len() as u32 > last, "{} after {last} was reported", store.len());
        assert!(store.len() > num_whole);
        num_whole = store.len();
        assert!((0..num_whole as u32).all(|image| holds(&store, image, 0)));
    }
}

#[test]
fn a_full_disk_is_an_error_that_costs_no_earlier_record() {
    let dir = TempDir::new().unwrap();
    let output = child(FILL, dir.path()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let num_appended = reported(output.stdout.as_slice()).len();
    assert!((10..100).contains(&num_appended), "{num_appended}");
    let torn = only_file(dir.path()).metadata().unwrap().len() as usize - HEADER_BYTES;
    assert_ne!(torn % RECORD_BYTES, 0, "the limit is to fall inside of a record");

    let store = open(dir.path());
    assert_eq!(store.len(), num_appended);
    (0..100).for_each(|image| append(&store, image, 0));
    assert!((0..100).all(|image| holds(&open(dir.path()), image, 0)));
}

// --- Any damage ---------------------------------------------------------------------------------

const NUM_IMAGES: u32 = 5;

#[derive(Debug, Clone)]
enum Event {
    Append(u32),
    Reopen,
    /// The file loses all from this byte on, counted modulo its length.
    CutOff(usize),
    /// The byte here, counted modulo the file's length, is changed by this mask.
    Flip(usize, u8),
    /// Bytes that belong to no record, as another program would add.
    AddGarbage(usize),
}

fn event() -> impl Strategy<Value = Event> {
    // Places near the start of the file would mostly hit the header.
    let place = prop_oneof![1 => 0..HEADER_BYTES, 8 => HEADER_BYTES..6 * RECORD_BYTES];
    prop_oneof![
        6 => (0..NUM_IMAGES).prop_map(Event::Append),
        2 => Just(Event::Reopen),
        1 => place.clone().prop_map(Event::CutOff),
        3 => (place, 1u8..).prop_map(|(place, mask)| Event::Flip(place, mask)),
        1 => (1..2 * RECORD_BYTES).prop_map(Event::AddGarbage),
    ]
}

/// A header, and the record of every image, as they lie on disk.
fn whole_file() -> (Vec<u8>, Vec<Vec<u8>>) {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path());
    (0..NUM_IMAGES).for_each(|image| append(&store, image, 0));
    let bytes = fs::read(store.path()).unwrap();
    let (header, records) = bytes.split_at(HEADER_BYTES);
    (header.to_vec(), records.chunks(RECORD_BYTES).map(<[u8]>::to_vec).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_happens_to_the_file_whole_records_survive_and_no_other_is_read(
        events in prop::collection::vec(event(), 1..30),
    ) {
        let (header, records) = whole_file();
        let dir = TempDir::new().unwrap();
        let mut store = open(dir.path());
        for event in events {
            let path = store.path().to_path_buf();
            let len = path.metadata().unwrap().len();
            match event {
                Event::Append(image) => append(&store, image, 0),
                Event::CutOff(place) => {
                    let file = OpenOptions::new().write(true).open(&path).unwrap();
                    file.set_len(place as u64 % len.max(1)).unwrap();
                }
                Event::Flip(place, mask) => {
                    let file = OpenOptions::new().read(true).write(true).open(&path).unwrap();
                    let place = place as u64 % len.max(1);
                    let mut byte = [0];
                    if file.read_exact_at(&mut byte, place).is_ok() {
                        file.write_all_at(&[byte[0] ^ mask], place).unwrap();
                    }
                }
                Event::AddGarbage(num_bytes) => {
                    let mut file = OpenOptions::new().append(true).open(&path).unwrap();
                    file.write_all(&vec![0x5a; num_bytes]).unwrap();
                }
                Event::Reopen => {
                    let bytes = fs::read(&path).unwrap();
                    let whole: BTreeSet<usize> = match bytes.strip_prefix(header.as_slice()) {
                        Some(rest) => rest
                            .chunks(RECORD_BYTES)
                            .filter_map(|chunk| records.iter().position(|record| record == chunk))
                            .collect(),
                        None => BTreeSet::new(),
                    };
                    store = open(dir.path());
                    prop_assert_eq!(store.len(), whole.len());
                    for image in whole {
                        prop_assert!(holds(&store, image as u32, 0), "image {}", image);
                    }
                }
            }
            // Nothing else than the image's own row is ever read.
            (0..NUM_IMAGES).for_each(|image| { holds(&store, image, 0); });
        }
        // Damage is mended and leaves no hole: what is appended now is there for good.
        let store = open(dir.path());
        (0..NUM_IMAGES).for_each(|image| append(&store, image, 0));
        let store = open(dir.path());
        prop_assert!((0..NUM_IMAGES).all(|image| holds(&store, image, 0)));
    }
}
