//! Files as they come.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use zip::write::SimpleFileOptions;

use super::common::{WorkingDir, text};
use super::run::Run;

/// A PNG that says it has 65,000 x 65,000 pixels: 12.7 GB as RGB.
fn huge_png() -> Vec<u8> {
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut chunk = |kind: &[u8], content: &[u8]| {
        png.extend((content.len() as u32).to_be_bytes());
        let body = [kind, content].concat();
        png.extend(&body);
        png.extend(crc32(&body).to_be_bytes());
    };
    let side = 65_000u32.to_be_bytes();
    chunk(b"IHDR", &[&side[..], &side, &[8, 2, 0, 0, 0]].concat());
    chunk(b"IDAT", &[0x78, 0x9c, 0x03, 0, 0, 0, 0, 1]);
    chunk(b"IEND", &[]);
    png
}

/// As in the PNG specification.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 * (crc & 1)))
    })
}

fn zip_archive() -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    zip.start_file("a.txt", SimpleFileOptions::default()).unwrap();
    zip.write_all(b"text").unwrap();
    zip.finish().unwrap().into_inner()
}

#[test]
fn what_is_no_image_is_named_and_the_rest_trained_within_bounds() {
    let working_dir = WorkingDir::with_features();
    let class = working_dir.images("train", 0)[0].parent().unwrap().to_owned();
    let good = fs::read(&working_dir.images("train", 0)[0]).unwrap();
    fs::write(class.join("huge.png"), huge_png()).unwrap();
    fs::write(class.join("zipped.jpg"), zip_archive()).unwrap();
    fs::write(class.join("empty.jpg"), "").unwrap();
    fs::write(class.join(OsStr::from_bytes(b"caf\xe9.jpg")), &good).unwrap();
    fs::write(class.join(OsStr::from_bytes(b"bad\xe9.jpg")), "not an image").unwrap();
    fs::create_dir(class.join("folder.jpg")).unwrap();
    symlink("nowhere.jpg", class.join("dangling.jpg")).unwrap();
    symlink("/dev/zero", class.join("device.jpg")).unwrap();
    mknodat(CWD, class.join("fifo.jpg"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    // 1 GB of nothing, on no disk.
    fs::File::create(class.join("sparse.jpg")).unwrap().set_len(1 << 30).unwrap();
    let locked = class.join("locked.jpg");
    fs::write(&locked, &good).unwrap();
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o000)).unwrap();
    let is_root = rustix::process::geteuid().is_root();

    let mut run = Run::start(&working_dir);
    assert!(run.wait().success(), "{}", run.log());
    let metadata = working_dir.metadata();
    let skipped = metadata["data"]["skipped"].as_array().unwrap();
    let reason = |name: &str| -> String {
        let path = class.join(name).strip_prefix(working_dir.path("")).unwrap().to_owned();
        let note = skipped.iter().find(|note| note["path"] == path.to_string_lossy().as_ref());
        note.map_or_else(String::new, |note| note["reason"].as_str().unwrap().to_owned())
    };
    for (name, words) in [
        ("huge.png", "too large"),
        ("zipped.jpg", "not an image of a known format"),
        ("empty.jpg", "the file is empty"),
        ("bad\u{fffd}.jpg", "not an image of a known format"),
        ("dangling.jpg", "a broken symlink"),
        ("device.jpg", "neither a file nor a folder"),
        ("fifo.jpg", "neither a file nor a folder"),
        ("sparse.jpg", "too large"),
    ] {
        assert!(reason(name).contains(words), "{name}: {:?}", reason(name));
    }
    assert_eq!(skipped.len(), if is_root { 8 } else { 9 }, "{skipped:#?}");
    if !is_root {
        assert!(reason("locked.jpg").contains("Permission denied"), "{}", reason("locked.jpg"));
    }
    let peak = metadata["cost"]["peak_memory_bytes"].as_u64().unwrap();
    assert!(peak < 1_000_000_000, "{peak} bytes of memory");
}

#[test]
fn files_that_vanish_or_change_between_listing_and_reading_cost_only_themselves() {
    let working_dir = WorkingDir::small();
    let mut run = Run::start(&working_dir);
    assert!(run.wait_for("4 test images"));
    // The last ones to be read: several chunks come before them.
    let [gone, spoiled, exchanged] =
        [1, 2, 3].map(|class| working_dir.images("test", class)[0].clone());
    fs::remove_file(&gone).unwrap();
    fs::write(&spoiled, "not an image any more").unwrap();
    let other = fs::read(&working_dir.images("train", 3)[0]).unwrap();
    fs::write(&exchanged, other).unwrap();
    assert!(run.wait().success(), "{}", run.log());
    let notes = |metadata: &serde_json::Value, list: &str, field: &str| -> Vec<String> {
        let list = metadata["data"][list].as_array().unwrap().clone();
        list.iter().map(|note| note[field].as_str().unwrap().to_owned()).collect()
    };
    let relative = |path: &Path| -> String {
        path.strip_prefix(working_dir.path("")).unwrap().to_str().unwrap().to_owned()
    };
    let metadata = working_dir.metadata();
    assert_eq!(notes(&metadata, "skipped", "path"), [relative(&gone), relative(&spoiled)]);
    // What was read is what the file held by then, a copy of a train image.
    assert_eq!(notes(&metadata, "leaks", "held_out"), [relative(&exchanged)]);
    assert_eq!(metadata["data"]["num_test"], 2);
}

#[test]
fn predict_waits_for_no_fifo_and_reads_no_device() {
    let working_dir = WorkingDir::with_features();
    assert!(working_dir.run(&[]).status.success());
    let output = working_dir.run(&["predict", "/dev/zero"]);
    assert_eq!(output.status.code(), Some(65));
    assert!(text(&output.stderr).contains("no regular file"), "{}", text(&output.stderr));
}
