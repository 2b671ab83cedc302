//! model.safetensors.

use std::fs;

use ec2train::model::state_dict::StateDict;
use safetensors::SafeTensors;

use super::files::{exported, file, model};

#[test]
fn every_tensor_is_that_of_model_pth_bit_for_bit() {
    let exported = StateDict::load(&file("model.safetensors")).unwrap();
    let model = model();
    assert_eq!(exported.len(), 320);
    for (name, tensor) in model.state_dict.iter() {
        assert!(exported.get(name) == Some(tensor), "{name}");
    }
}

#[test]
fn the_header_says_which_model_it_is_and_what_its_outputs_are() {
    let bytes = fs::read(file("model.safetensors")).unwrap();
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    let header = header.metadata().clone().unwrap();
    let metadata = model().metadata;
    assert_eq!(header["format"], "pt");
    assert_eq!(header["model_sha256"], metadata.model_sha256);
    let class_names: Vec<String> = serde_json::from_str(&header["class_names"]).unwrap();
    assert_eq!(class_names, metadata.class_names);
    let transform: serde_json::Value = serde_json::from_str(&header["transform"]).unwrap();
    assert_eq!(transform, exported().metadata()["transform"]);
}
