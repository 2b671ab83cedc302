//! Writing, then reading back.

use std::io::Cursor;

use ec2train::model::state_dict::{Dtype, PthWriter, StateDict, TensorData, TensorSpec};
use proptest::prelude::*;
use zip::ZipArchive;

use crate::{load, saved};

fn tensor() -> impl Strategy<Value = TensorData> {
    let shape = prop::collection::vec(0usize..5, 0..5);
    let dtype = prop::sample::select(Dtype::ALL.to_vec());
    (shape, dtype).prop_flat_map(|(shape, dtype)| {
        let num_bytes = shape.iter().product::<usize>() * dtype.size_bytes();
        prop::collection::vec(any::<u8>(), num_bytes).prop_map(move |bytes| TensorData {
            dtype,
            shape: shape.clone(),
            bytes,
        })
    })
}

fn state_dict() -> impl Strategy<Value = StateDict> {
    // Names of any characters; one without the prefix that reading would drop.
    prop::collection::vec((".{0,20}", tensor()), 1..8).prop_map(|entries| {
        let anchor = ("anchor".to_owned(), TensorData::scalar_i64(1));
        entries.into_iter().chain([anchor]).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_state_dict_is_read_back_as_it_was(state_dict in state_dict()) {
        let file = saved(&state_dict);
        prop_assert_eq!(&load(&file).unwrap(), &state_dict);
        prop_assert_eq!(saved(&state_dict), file);
    }

    #[test]
    fn any_bytes_after_a_valid_start_are_no_panic(
        start in prop::sample::select(vec![
            b"PK\x03\x04".as_slice(), b"\x80\x02", b"\x80\x04\x95", b"\x20\0\0\0\0\0\0\0{\"",
        ]),
        rest in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        prop_assert!(load(&[start, &rest].concat()).is_err());
    }
}

#[test]
fn blocks_are_stored_at_multiples_of_64_bytes() {
    let mut state_dict = StateDict::new();
    for (place, length) in [1, 3, 64, 100].into_iter().enumerate() {
        state_dict.insert(format!("t{place}"), TensorData::from_f32(&[length], &vec![1.5; length]));
    }
    let mut zip = ZipArchive::new(Cursor::new(saved(&state_dict))).unwrap();
    for key in 0..4 {
        let entry = zip.by_name(&format!("archive/data/{key}")).unwrap();
        assert_eq!(entry.data_start().unwrap() % 64, 0, "data/{key}");
        assert_eq!(entry.compressed_size(), entry.size());
    }
}

#[test]
fn a_tensor_whose_bytes_do_not_fit_its_shape_is_not_written() {
    for (shape, expected) in [
        (vec![3], "w: 8 bytes for float32 [3]"),
        (vec![usize::MAX, 4], "w: [18446744073709551615, 4] is more than memory"),
    ] {
        let tensor = TensorData { dtype: Dtype::F32, shape, bytes: vec![0; 8] };
        let state_dict = StateDict::from_iter([("w".to_owned(), tensor)]);
        let error = state_dict.save_pth(Cursor::new(Vec::new())).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn only_the_announced_tensors_are_written_and_all_of_them() {
    let spec = |name: &str| TensorSpec { name: name.into(), shape: vec![2], dtype: Dtype::F32 };
    let begin = || PthWriter::begin(Cursor::new(Vec::new()), vec![spec("a"), spec("b")]).unwrap();
    let tensor = TensorData::from_f32(&[2], &[1.0, 2.0]);
    let message = |result: std::io::Result<()>| result.unwrap_err().to_string();

    let mut writer = begin();
    assert_eq!(
        message(writer.put("b", &tensor)),
        "b, float32 [2], where a, float32 [2], was announced"
    );
    writer.put("a", &tensor).unwrap();
    let longer = TensorData::from_f32(&[3], &[0.0; 3]);
    assert_eq!(
        message(writer.put("b", &longer)),
        "b, float32 [3], where b, float32 [2], was announced"
    );
    writer.put("b", &tensor).unwrap();
    assert_eq!(message(writer.put("c", &tensor)), "c is one tensor too many");
    writer.finish().unwrap();

    assert_eq!(message(begin().finish()), "a was announced and not written");
}
