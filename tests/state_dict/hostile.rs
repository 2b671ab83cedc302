//! Files made to do harm.

use std::io::{Cursor, Write};
use std::time::{Duration, Instant};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::{golden, load};

/// Generous for a slow machine; a hang or a huge allocation takes longer.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// A zip file of this pickle and one block of 64 zeros.
fn zip_with(pickle: &[u8]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in [("data.pkl", pickle), ("byteorder", b"little"), ("data/0", &[0; 64])] {
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
        zip.start_file(format!("archive/{name}"), options).unwrap();
        zip.write_all(content).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// A legacy file with this pickle in the place of the checkpoint, no blocks.
fn legacy_with(pickle: &[u8]) -> Vec<u8> {
    let mut file =
        b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.".to_vec();
    file.extend_from_slice(b"\x80\x02}X\x0d\x00\x00\x00little_endian\x88s.");
    file.extend_from_slice(pickle);
    file.extend_from_slice(b"\x80\x02].");
    file
}

/// The error for a pickle, which must be quick, exit 65 and the same kind in both formats.
fn refusal(pickle: &[u8]) -> String {
    let mut reasons = [zip_with(pickle), legacy_with(pickle)].map(|file| {
        let start = Instant::now();
        let error = load(&file).unwrap_err();
        assert!(start.elapsed() < TIME_LIMIT, "slow: {error}");
        assert_eq!(error.exit_code(), 65, "{error}");
        // Without the path, which differs.
        error.to_string().split_once(": ").unwrap().1.to_owned()
    });
    let [zip, legacy] = &mut reasons;
    assert_eq!(zip, legacy);
    std::mem::take(zip)
}

/// `{"w": _rebuild_tensor_v2(storage "0" of `count` floats, offset, size, stride, False, None)}`,
/// the numbers given as pickled.
fn one_tensor(count: &[u8], offset: &[u8], size: &[u8], stride: &[u8]) -> Vec<u8> {
    [
        b"\x80\x02}X\x01\x00\x00\x00wctorch._utils\n_rebuild_tensor_v2\n((".as_slice(),
        b"X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpu",
        count,
        b"tQ",
        offset,
        size,
        stride,
        b"\x89NtRs.",
    ]
    .concat()
}

/// LONG1
fn long(value: i64) -> Vec<u8> {
    [b"\x8a\x08".as_slice(), &value.to_le_bytes()].concat()
}

#[test]
fn a_well_formed_pickle_of_the_same_make_is_read() {
    let pickle = one_tensor(b"K\x10", b"K\x02", b"K\x02K\x03\x86", b"K\x03K\x01\x86");
    let state_dict = load(&zip_with(&pickle)).unwrap();
    assert_eq!(state_dict.get("w").unwrap().shape, [2, 3]);
}

#[test]
fn a_call_of_anything_else_is_refused_by_name() {
    for (name, pickle) in [
        ("os.system", b"\x80\x02cos\nsystem\nX\x02\x00\x00\x00id\x85R.".as_slice()),
        ("builtins.eval", b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93\x8c\x01x\x85R."),
        ("posix.system", b"\x80\x02}X\x01\x00\x00\x00acposix\nsystem\ns."),
        ("torchvision.models.resnet.ResNet", b"\x80\x02ctorchvision.models.resnet\nResNet\n)\x81."),
    ] {
        let reason = refusal(pickle);
        assert!(reason.contains(name), "{reason}");
        assert!(reason.contains("torch.save(model.state_dict(), path)"), "{reason}");
    }
}

#[test]
fn a_tensor_larger_than_its_storage_is_refused() {
    let count = b"K\x10".as_slice();
    for (offset, size, stride) in [
        (b"K\x00".to_vec(), b"K\x11\x85".to_vec(), b"K\x01\x85".to_vec()),
        (b"K\x10".to_vec(), b"K\x01\x85".to_vec(), b"K\x01\x85".to_vec()),
        (b"K\x00".to_vec(), b"K\x02\x85".to_vec(), [long(i64::MAX), b"\x85".to_vec()].concat()),
        (long(-1), b"K\x01\x85".to_vec(), b"K\x01\x85".to_vec()),
        (b"K\x01".to_vec(), b"K\x02\x85".to_vec(), [long(-1), b"\x85".to_vec()].concat()),
        (long(i64::MAX), b"K\x01\x85".to_vec(), b"K\x01\x85".to_vec()),
    ] {
        let reason = refusal(&one_tensor(count, &offset, &size, &stride));
        assert!(reason.contains("\"w\""), "{reason}");
    }
}

#[test]
fn a_tensor_of_a_trillion_elements_is_refused() {
    let trillion = long(1_000_000_000_000);
    let shape = [trillion.as_slice(), b"\x85"].concat();
    // Once backed by nothing, once one element looked at a trillion times.
    for stride in [b"K\x01\x85", b"K\x00\x85"] {
        let reason = refusal(&one_tensor(&trillion, b"K\x00", &shape, stride));
        assert!(reason.contains("declare 4000000000000 bytes"), "{reason}");
    }
    let square = [trillion.as_slice(), &trillion, b"\x86"].concat();
    refusal(&one_tensor(&trillion, b"K\x00", &square, b"K\x00K\x00\x86"));
}

#[test]
fn many_tensors_that_share_one_storage_are_refused_together() {
    // The storage and the function are remembered; each tensor is a megabyte of one element.
    let mut pickle = b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\nq\x00\
        (X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x10tQq\x01}("
        .to_vec();
    for name in 0..1000u32 {
        pickle.extend_from_slice(b"X\x04\x00\x00\x00");
        pickle.extend_from_slice(format!("{name:04}").as_bytes());
        pickle.extend_from_slice(b"h\x00(h\x01K\x00J\x00\x00\x04\x00\x85K\x00\x85\x89NtR");
    }
    pickle.extend_from_slice(b"u.");
    let reason = refusal(&pickle);
    assert!(reason.contains("more than the"), "{reason}");
}

#[test]
fn too_many_tensors_are_refused() {
    let mut pickle = one_tensor(b"K\x10", b"K\x00", b"K\x01\x85", b"K\x01\x85");
    pickle.truncate(pickle.len() - 2);
    pickle.extend_from_slice(b"q\x000}(");
    for name in 0..70_000u32 {
        pickle.extend_from_slice(b"X\x05\x00\x00\x00");
        pickle.extend_from_slice(format!("{name:05}").as_bytes());
        pickle.extend_from_slice(b"h\x00");
    }
    pickle.extend_from_slice(b"u.");
    let reason = refusal(&pickle);
    assert!(reason.contains("more than 65536 tensors"), "{reason}");
}

#[test]
fn declared_lengths_beyond_the_end_are_refused() {
    for opcode in [
        b"X\xff\xff\xff\xff".as_slice(),
        b"T\xff\xff\xff\xff",
        b"B\xff\xff\xff\x7f",
        b"\x8b\xff\xff\xff\xff",
        b"\x8d\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x8e\xff\xff\xff\xff\xff\xff\xff\x7f",
        b"\x96\xff\xff\xff\xff\xff\xff\xff\x7f",
        b"\x8a\xff",
        b"cos",
    ] {
        refusal(&[b"\x80\x04", opcode].concat());
    }
}

#[test]
fn deep_nesting_and_cycles_overflow_no_stack() {
    const DEPTH: usize = 500_000;
    let nested = |open: &[u8], close: &[u8]| {
        [b"\x80\x02".as_slice(), &open.repeat(DEPTH), &close.repeat(DEPTH), b"."].concat()
    };
    refusal(&nested(b"]", b"a"));
    refusal(&nested(b")", b"\x85"));
    refusal(&nested(b"(", b"t"));
    refusal(&nested(b"(", b""));
    // d = {}; d["state_dict"] = d, then a list in itself.
    refusal(b"\x80\x02}q\x00X\x0a\x00\x00\x00state_dicth\x00s.");
    refusal(b"\x80\x02]q\x00h\x00a.");
    // A storage whose key is the storage, a tensor made of itself.
    refusal(b"\x80\x02]q\x00(h\x00h\x00h\x00tQ.");
    refusal(
        b"\x80\x02}X\x01\x00\x00\x00wctorch._utils\n_rebuild_tensor_v2\n(]q\x00h\x00h\x00h\x00tRs.",
    );
}

#[test]
fn endless_copying_is_refused() {
    // l = [("a", "b")] * 1000, then OrderedDict(l) ten thousand times.
    let mut pickle = b"\x80\x02ccollections\nOrderedDict\nq\x00]q\x01(".to_vec();
    pickle.extend_from_slice(b"X\x01\x00\x00\x00aX\x01\x00\x00\x00b\x86q\x02");
    pickle.extend_from_slice(&b"h\x02".repeat(1000));
    pickle.extend_from_slice(b"e\x85q\x03");
    pickle.extend_from_slice(&b"h\x00h\x03R0".repeat(10_000));
    pickle.extend_from_slice(b".");
    let reason = refusal(&pickle);
    assert!(reason.contains("longer than any state dict's"), "{reason}");
}

#[test]
fn malformed_pickles_are_refused() {
    for pickle in [
        b"\x80\x02.".as_slice(),
        b"\x80\x06N.",
        b"\x80\x01N.",
        b"\x80\x02a.",
        b"\x80\x02(.",
        b"\x80\x02N(0.",
        b"\x80\x02t.",
        b"\x80\x02h\x07.",
        b"\x80\x02j\xff\xff\xff\xff.",
        b"\x80\x02}Ns.",
        b"\x80\x02}(Nu.",
        b"\x80\x02NNa.",
        b"\x80\x02N}b.",
        b"\x80\x02NR.",
        b"\x80\x02N)R.",
        b"\x80\x02ctorch\nFloatStorage\n)R.",
        b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n)R.",
        b"\x80\x02ctorch._utils\n_rebuild_parameter\nN\x85R.",
        b"\x80\x02ccollections\nOrderedDict\nK\x01\x85R.",
        b"\x80\x02ccollections\nOrderedDict\n]N]\x87\x85R.",
        b"\x80\x02X\x02\x00\x00\x00\xff\xfe.",
        b"\x80\x02KQ.",
        b"\x80\x02)Q.",
        b"\x80\x02\x97.",
        b"\x80\x02N.",
        b"\x80\x02K\x01.",
        b"\x80\x02].",
        b"\x80\x02}.",
        b"\x80\x02ctorch\nfloat32\n.",
    ] {
        refusal(pickle);
    }
}

#[test]
fn two_state_dicts_are_refused_by_name() {
    let inner = one_tensor(b"K\x10", b"K\x00", b"K\x01\x85", b"K\x01\x85");
    let inner = &inner[2..inner.len() - 1];
    let mut pickle = b"\x80\x02}(X\x0a\x00\x00\x00state_dict".to_vec();
    pickle.extend_from_slice(inner);
    pickle.extend_from_slice(b"X\x05\x00\x00\x00model");
    pickle.extend_from_slice(inner);
    pickle.extend_from_slice(b"u.");
    let reason = refusal(&pickle);
    assert!(reason.contains("\"state_dict\" and \"model\""), "{reason}");
}

#[test]
fn a_zip_directory_that_declares_a_billion_entries_is_refused() {
    // PyTorch always writes a zip64 directory end: 56 bytes, its locator 20, the plain one 22.
    let file = golden("zip_ordered_dict.pth");
    let end64 = file.len() - 98;
    assert_eq!(&file[end64..end64 + 4], b"PK\x06\x06");
    for num_entries in [65_536u64, 1 << 30, u64::MAX] {
        let mut file = file.clone();
        for at in [24, 32] {
            file[end64 + at..end64 + at + 8].copy_from_slice(&num_entries.to_le_bytes());
        }
        file[end64 + 40..end64 + 48].copy_from_slice(&(1u64 << 50).to_le_bytes());
        let error = load(&file).unwrap_err().to_string();
        assert!(error.contains(&format!("declares {num_entries} entries")), "{error}");
    }
}

#[test]
fn entries_that_share_their_bytes_are_read_no_longer_than_the_file() {
    // 100 blocks of a megabyte, all of them the first one, of each one element.
    const BLOCKS: usize = 100;
    let mut pickle = b"\x80\x02}".to_vec();
    for key in 0..BLOCKS {
        let one = one_tensor(&long(1 << 18), b"K\x00", b"K\x01\x85", b"K\x01\x85");
        // Its entry alone, with a name and a block of its own.
        let mut entry = one[3..one.len() - 1].to_vec();
        entry[5] = key as u8 + 1;
        let at = entry.windows(6).position(|w| w == b"X\x01\x00\x00\x000").unwrap();
        entry.splice(at..at + 6, [b"X\x02\x00\x00\x00", format!("{key:02}").as_bytes()].concat());
        pickle.extend_from_slice(&entry);
    }
    pickle.push(b'.');
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file("archive/data.pkl", options).unwrap();
    zip.write_all(&pickle).unwrap();
    zip.start_file("archive/data/00", options).unwrap();
    zip.write_all(&vec![0; 1 << 20]).unwrap();
    for key in 1..BLOCKS {
        zip.shallow_copy_file("archive/data/00", &format!("archive/data/{key:02}")).unwrap();
    }
    let file = zip.finish().unwrap().into_inner();
    assert!(file.len() < 2 << 20);
    let error = load(&file).unwrap_err();
    assert_eq!(error.exit_code(), 65, "{error}");
    assert!(error.to_string().contains("data/01 declares 1048576 bytes"), "{error}");
}

#[test]
fn absurd_names_are_refused_in_few_words() {
    let name = "n".repeat(1 << 20);
    let tensor = one_tensor(b"K\x10", b"K\x00", b"K\x01\x85", b"K\x01\x85");
    let length = (name.len() as u32).to_le_bytes();
    let named = [b"\x80\x02}X".as_slice(), &length, name.as_bytes(), &tensor[9..]].concat();
    let asked = [b"\x80\x02c".as_slice(), name.as_bytes(), b"\n", name.as_bytes(), b"\n."].concat();
    let missing = [b"\x80\x02}X".as_slice(), &length, name.as_bytes(), b"Ns."].concat();
    for pickle in [named, asked, missing] {
        let reason = refusal(&pickle);
        assert!(reason.len() < 1000, "{} bytes", reason.len());
    }
}

#[test]
fn a_safetensors_header_that_lies_is_refused() {
    let with_header = |header: &str, data: usize| {
        let mut file = (header.len() as u64).to_le_bytes().to_vec();
        file.extend_from_slice(header.as_bytes());
        file.resize(file.len() + data, 0);
        file
    };
    let tensor = |shape: &str, offsets: &str| {
        format!(r#"{{"w":{{"dtype":"F32","shape":{shape},"data_offsets":{offsets}}}}}"#)
    };
    load(&with_header(&tensor("[2]", "[0,8]"), 8)).unwrap();
    for (header, data) in [
        (tensor("[2]", "[0,8]"), 7),
        (tensor("[2]", "[0,8]"), 9),
        (tensor("[3]", "[0,8]"), 8),
        (tensor("[2]", "[8,16]"), 16),
        (tensor("[1000000000000]", "[0,4000000000000]"), 8),
        (tensor("[4294967296,4294967296,4]", "[0,0]"), 0),
        (tensor("[2]", "[0,8]").replace("F32", "F8_E4M3").replace("[2]", "[8]"), 8),
        ("{}".to_owned(), 0),
        ("{".repeat(100_000), 0),
        (format!("{{\"w\":{}", "[".repeat(100_000)), 0),
    ] {
        let error = load(&with_header(&header, data)).unwrap_err();
        assert_eq!(error.exit_code(), 65, "{error}");
    }
}
