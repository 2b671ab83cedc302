//! Files that were cut off or changed on their way.

use std::fs;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use ec2train::Result;
use ec2train::model::state_dict::StateDict;

use crate::{golden, golden_files, load};

/// Generous for a slow machine; a hang or a huge allocation takes longer.
const TIME_LIMIT: Duration = Duration::from_secs(10);

#[test]
fn a_file_cut_off_anywhere_is_an_error() {
    for (path, _) in golden_files() {
        let content = fs::read(&path).unwrap();
        for part in 0..64 {
            let length = content.len() * part / 64;
            let error = load(&content[..length])
                .err()
                .unwrap_or_else(|| panic!("{} cut to {length} bytes was read", path.display()));
            assert_eq!(error.exit_code(), 65, "{error}");
        }
        let error = load(&content[..content.len() - 1]);
        assert!(error.is_err(), "{} without its last byte was read", path.display());
    }
}

/// Calls `check` with what loading gives for each byte of `file` changed in several ways.
fn for_each_change(file: &str, check: impl Fn(Result<StateDict>)) {
    let content = golden(file);
    // One file changed in place: creating thousands would take a slow disk minutes.
    let copy = tempfile::NamedTempFile::new().unwrap();
    fs::write(copy.path(), &content).unwrap();
    for (place, byte) in content.iter().enumerate() {
        for change in [0x01, 0x10, 0x80, 0xff] {
            copy.as_file().write_all_at(&[byte ^ change], place as u64).unwrap();
            let start = Instant::now();
            let result = StateDict::load(copy.path());
            assert!(start.elapsed() < TIME_LIMIT, "{file} byte {place} ^ {change:#x} is slow");
            if let Err(error) = &result {
                assert_eq!(error.exit_code(), 65, "{file} byte {place} ^ {change:#x}: {error}");
            }
            check(result);
        }
        copy.as_file().write_all_at(&[*byte], place as u64).unwrap();
    }
}

#[test]
fn a_changed_zip_is_an_error_or_gives_the_same_tensors() {
    // Its checksums cover everything but names and dates that nothing depends on.
    for file in ["zip_ordered_dict.pth", "zip_views.pth"] {
        let expected = load(&golden(file)).unwrap();
        for_each_change(file, |result| {
            if let Ok(found) = result {
                assert_eq!(found, expected);
            }
        });
    }
}

#[test]
fn a_changed_file_without_checksums_never_panics_or_hangs() {
    for file in [
        "legacy_views.pth",
        "legacy_python2.pth",
        "legacy_protocol4.pth",
        "every_dtype.safetensors",
    ] {
        for_each_change(file, drop);
    }
}
