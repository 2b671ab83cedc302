//! The constructed backbone against the list of tensors that torchvision wrote.

use ec2train::model::state_dict::Dtype;
use ec2train::sample::build_backbone;

#[test]
fn names_types_and_shapes_are_torchvisions_in_its_order() {
    let golden = include_str!("golden/resnet50_tensors.txt");
    let expected: Vec<&str> = golden.lines().collect();
    assert_eq!(expected.len(), 320);
    let state_dict = build_backbone();
    let written: Vec<String> = state_dict
        .iter()
        .map(|(name, tensor)| {
            let dtype = match tensor.dtype {
                Dtype::F32 => "float32",
                Dtype::I64 => "int64",
                _ => "another type",
            };
            let shape = tensor.shape.iter().map(|size| format!(" {size}")).collect::<String>();
            format!("{name} {dtype}{shape}")
        })
        .collect();
    assert_eq!(written, expected);
}
