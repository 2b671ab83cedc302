//! Files that PyTorch wrote.

use std::io::{Cursor, Read, Write};

use ec2train::model::state_dict::StateDict;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use crate::{golden, golden_files, load, saved};

#[test]
fn every_form_gives_the_tensors_that_pytorch_reads() {
    for (path, expected) in golden_files() {
        let found = StateDict::load(&path).unwrap_or_else(|error| panic!("{error}"));
        let names = |state_dict: &StateDict| {
            state_dict.iter().map(|(name, _)| name.to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(names(&found), names(&expected), "{}", path.display());
        for (name, tensor) in expected.iter() {
            assert_eq!(found.get(name), Some(tensor), "{} {name}", path.display());
        }
    }
}

#[test]
fn what_was_read_survives_writing() {
    for (path, expected) in golden_files() {
        assert_eq!(load(&saved(&expected)).unwrap(), expected, "{}", path.display());
    }
}

#[test]
fn the_name_of_a_file_does_not_matter() {
    let dir = tempfile::tempdir().unwrap();
    for (source, name) in
        [("every_dtype.safetensors", "weights.pth"), ("legacy_views.pth", "x.safetensors")]
    {
        let path = dir.path().join(name);
        std::fs::write(&path, golden(source)).unwrap();
        StateDict::load(&path).unwrap_or_else(|error| panic!("{error}"));
    }
}

/// A golden zip file with each entry passed through `edit`.
fn rewritten(
    file: &str,
    method: CompressionMethod,
    edit: impl Fn(&str, Vec<u8>) -> Option<Vec<u8>>,
) -> Vec<u8> {
    let mut source = ZipArchive::new(Cursor::new(golden(file))).unwrap();
    let mut sink = ZipWriter::new(Cursor::new(Vec::new()));
    for index in 0..source.len() {
        let mut entry = source.by_index(index).unwrap();
        let name = entry.name().unwrap().into_owned();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        if let Some(content) = edit(&name, content) {
            let options = SimpleFileOptions::default().compression_method(method);
            sink.start_file(name, options).unwrap();
            sink.write_all(&content).unwrap();
        }
    }
    sink.finish().unwrap().into_inner()
}

#[test]
fn a_big_endian_file_is_refused() {
    let file = rewritten("zip_plain_dict.pth", CompressionMethod::Stored, |name, content| {
        Some(if name.ends_with("byteorder") { b"big".to_vec() } else { content })
    });
    let error = load(&file).unwrap_err();
    assert_eq!(error.exit_code(), 65);
    assert!(error.to_string().contains("big-endian"), "{error}");
}

#[test]
fn a_file_from_before_the_byte_order_was_told_is_read() {
    let file = rewritten("zip_plain_dict.pth", CompressionMethod::Stored, |name, content| {
        (!name.ends_with("byteorder")).then_some(content)
    });
    assert_eq!(load(&file).unwrap(), load(&golden("zip_plain_dict.pth")).unwrap());
}

#[test]
fn a_compressed_file_is_refused() {
    let file =
        rewritten("zip_plain_dict.pth", CompressionMethod::Deflated, |_, content| Some(content));
    let error = load(&file).unwrap_err().to_string();
    assert!(error.contains("is compressed"), "{error}");
}

#[test]
fn a_missing_block_is_named() {
    let file = rewritten("zip_plain_dict.pth", CompressionMethod::Stored, |name, content| {
        (!name.ends_with("data/3")).then_some(content)
    });
    let error = load(&file).unwrap_err().to_string();
    assert!(error.contains("data/3 is missing"), "{error}");
}

#[test]
fn a_file_that_is_no_state_dict_says_what_it_starts_with() {
    let error = load(b"<!DOCTYPE html>\n<title>404</title>").unwrap_err();
    assert_eq!(error.exit_code(), 65);
    assert!(error.to_string().contains("<!DOCTYPE html>"), "{error}");
    let error = load(b"").unwrap_err();
    assert!(error.to_string().contains("empty"), "{error}");
}

#[test]
fn a_missing_file_is_exit_66_and_a_folder_65() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(StateDict::load(&dir.path().join("none.pth")).unwrap_err().exit_code(), 66);
    assert_eq!(StateDict::load(dir.path()).unwrap_err().exit_code(), 65);
}
