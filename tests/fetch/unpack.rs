//! Archives, honest and hostile.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use ec2train::Error;
use ec2train::fetch::{Progress, Unpacked, unpack};
use tempfile::tempdir;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::{body, names};

/// A zip of these files at `path`; a name that ends in `/` is a folder.
pub fn write_zip(path: &Path, files: &[(&str, &[u8])], method: CompressionMethod) {
    let mut zip = ZipWriter::new(File::create(path).unwrap());
    let options = SimpleFileOptions::default().compression_method(method);
    for (name, bytes) in files {
        if name.ends_with('/') {
            zip.add_directory(*name, options).unwrap();
        } else {
            zip.start_file(*name, options).unwrap();
            zip.write_all(bytes).unwrap();
        }
    }
    zip.finish().unwrap();
}

fn run(zip: &Path, dir: &Path) -> Result<Unpacked, Error> {
    unpack(zip, dir, &Progress::lines())
}

fn bad_data(zip: &Path, dir: &Path) -> String {
    let error = run(zip, dir).unwrap_err();
    assert_eq!(error.exit_code(), 65, "{error}");
    assert!(error.to_string().contains(zip.to_str().unwrap()), "{error}");
    error.to_string()
}

#[test]
fn files_and_folders_come_out_and_junk_stays_in() {
    let dir = tempdir().unwrap();
    let (zip, out) = (dir.path().join("x.zip"), dir.path().join("out"));
    let bytes = body(400_000);
    for method in [CompressionMethod::Stored, CompressionMethod::Deflated] {
        let files: [(&str, &[u8]); 6] = [
            ("a/", b""),
            ("a/b/1.jpg", &bytes),
            ("a/empty", b""),
            ("a/.DS_Store", b"junk"),
            ("__MACOSX/a/b/._1.jpg", b"junk"),
            ("a/.git/config", b"junk"),
        ];
        write_zip(&zip, &files, method);
        let unpacked = run(&zip, &out).unwrap();
        let expected = Unpacked { num_files: 2, num_bytes: 400_000, num_skipped: 3 };
        assert_eq!(unpacked, expected);
        assert_eq!(names(&out), ["a"]);
        assert_eq!(names(&out.join("a")), ["b", "empty"]);
        assert!(fs::read(out.join("a/b/1.jpg")).unwrap() == bytes);
        fs::remove_dir_all(&out).unwrap();
    }
}

/// Replaces every occurrence of a name in a zip's headers by one of the same length.
fn rename_in_zip(zip: &Path, from: &str, to: &str) {
    assert_eq!(from.len(), to.len());
    let mut bytes = fs::read(zip).unwrap();
    let mut count = 0;
    for at in 0..bytes.len() - from.len() {
        if &bytes[at..at + from.len()] == from.as_bytes() {
            bytes[at..at + from.len()].copy_from_slice(to.as_bytes());
            count += 1;
        }
    }
    assert_eq!(count, 2, "local header and directory");
    fs::write(zip, bytes).unwrap();
}

#[test]
fn names_that_lead_out_are_refused_before_a_byte_is_written() {
    let dir = tempdir().unwrap();
    let zip = dir.path().join("x.zip");
    for hostile in ["../evil.jpg", "/tmp/ev.jpg", "a/../../e.j", "a\\..\\..\\ev", "a//evil.jpg"] {
        let harmless = "n".repeat(hostile.len());
        let files: [(&str, &[u8]); 2] = [("first.jpg", b"1"), (&harmless, b"2")];
        write_zip(&zip, &files, CompressionMethod::Stored);
        rename_in_zip(&zip, &harmless, hostile);
        let out = dir.path().join("deep/out");
        let text = bad_data(&zip, &out);
        assert!(text.contains("lead out"), "{hostile}: {text}");
        assert!(!out.exists(), "{hostile}");
        assert_eq!(names(dir.path()), ["x.zip"]);
    }
}

#[test]
fn links_are_refused() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("x.zip");
    let mut zip = ZipWriter::new(File::create(&path).unwrap());
    zip.add_symlink("a", "/etc", SimpleFileOptions::default()).unwrap();
    zip.start_file("a/passwd", SimpleFileOptions::default()).unwrap();
    zip.finish().unwrap();
    let text = bad_data(&path, &dir.path().join("out"));
    assert!(text.contains("symbolic link"), "{text}");
}

#[test]
fn a_flipped_bit_in_a_file_is_named() {
    let dir = tempdir().unwrap();
    let zip = dir.path().join("x.zip");
    for method in [CompressionMethod::Stored, CompressionMethod::Deflated] {
        let bytes = body(50_000);
        write_zip(&zip, &[("good.jpg", b"1"), ("a/broken.jpg", &bytes)], method);
        let mut archive = fs::read(&zip).unwrap();
        archive[25_000] ^= 4;
        fs::write(&zip, archive).unwrap();
        let text = bad_data(&zip, &dir.path().join("out"));
        assert!(text.contains("a/broken.jpg"), "{text}");
        fs::remove_dir_all(dir.path().join("out")).unwrap();
    }
}

#[test]
fn a_file_longer_than_announced_is_cut_off() {
    let dir = tempdir().unwrap();
    let zip = dir.path().join("x.zip");
    write_zip(&zip, &[("bomb", &vec![0; 10_000_000])], CompressionMethod::Deflated);
    let mut archive = fs::read(&zip).unwrap();
    let (size, lie) = (10_000_000u32.to_le_bytes(), 10u32.to_le_bytes());
    for at in 0..archive.len() - 4 {
        if archive[at..at + 4] == size {
            archive[at..at + 4].copy_from_slice(&lie);
        }
    }
    fs::write(&zip, archive).unwrap();
    bad_data(&zip, &dir.path().join("out"));
    let written = fs::metadata(dir.path().join("out/bomb")).map_or(0, |file| file.len());
    assert!(written < 1_000_000, "{written} bytes");
}

#[test]
fn an_archive_cut_anywhere_is_an_error_and_never_a_panic() {
    let dir = tempdir().unwrap();
    let zip = dir.path().join("x.zip");
    let bytes = body(500);
    write_zip(&zip, &[("a/1", &bytes), ("b/2", &bytes)], CompressionMethod::Deflated);
    let whole = fs::read(&zip).unwrap();
    for part in 0..64 {
        fs::write(&zip, &whole[..whole.len() * part / 64]).unwrap();
        bad_data(&zip, &dir.path().join("out"));
        let _ = fs::remove_dir_all(dir.path().join("out"));
    }
}

#[test]
fn an_archive_with_a_flipped_bit_gives_the_right_bytes_or_an_error() {
    let dir = tempdir().unwrap();
    let zip = dir.path().join("x.zip");
    let bytes = body(300);
    write_zip(&zip, &[("a/1", &bytes), ("b/2", &bytes)], CompressionMethod::Deflated);
    let whole = fs::read(&zip).unwrap();
    let mut num_errors = 0;
    for at in (0..whole.len()).step_by(3) {
        let mut flipped = whole.clone();
        flipped[at] ^= 1 << (at % 8);
        fs::write(&zip, flipped).unwrap();
        let out = dir.path().join("out");
        match run(&zip, &out) {
            Err(_) => num_errors += 1,
            Ok(_) => {
                for folder in names(&out) {
                    for name in names(&out.join(&folder)) {
                        let path = out.join(&folder).join(name);
                        assert!(fs::read(&path).unwrap() == bytes, "byte {at}: {path:?}");
                    }
                }
            }
        }
        let _ = fs::remove_dir_all(&out);
    }
    assert!(num_errors >= 200, "{num_errors} errors: each third of 600 bytes of data is one");
}
