//! model.onnx, parsed back.

use std::collections::{HashMap, HashSet};
use std::fs;

use ec2train::export::onnx::proto::{DimensionValue, Graph, Model, Node, ValueInfo};
use ec2train::export::onnx::{INPUT, OUTPUT};
use prost::Message;

use super::files::{exported, file, model};

fn read() -> Model {
    Model::decode(fs::read(file("model.onnx")).unwrap().as_slice()).unwrap()
}

fn ints(node: &Node, name: &str) -> Vec<usize> {
    let attribute = node.attribute.iter().find(|attribute| attribute.name() == name);
    attribute.unwrap().ints.iter().map(|&int| int as usize).collect()
}

/// Sizes after the batch.
fn sizes(value: &ValueInfo) -> Vec<usize> {
    let shape = value.r#type.clone().unwrap().tensor_type.unwrap().shape.unwrap();
    let mut dims = shape.dim.into_iter().map(|dim| dim.value.unwrap());
    assert_eq!(dims.next(), Some(DimensionValue::DimParam("batch".to_owned())));
    dims.map(|dim| match dim {
        DimensionValue::DimValue(size) => size as usize,
        DimensionValue::DimParam(name) => panic!("{name} is free"),
    })
    .collect()
}

/// Shape of what `node` gives, after the batch, by ONNX's definition of its operator.
fn infer(node: &Node, input: &[usize], tensors: &HashMap<&str, Vec<usize>>) -> Vec<usize> {
    let tensor = |i: usize| tensors[node.input[i].as_str()].as_slice();
    let slide = |channels: usize| -> Vec<usize> {
        let [kernel, pads, strides] =
            ["kernel_shape", "pads", "strides"].map(|name| ints(node, name));
        assert_eq!((kernel.len(), pads.len(), strides.len()), (2, 4, 2));
        let side = |i: usize| (input[i + 1] + pads[i] + pads[i + 2] - kernel[i]) / strides[i] + 1;
        vec![channels, side(0), side(1)]
    };
    match node.op_type() {
        "Conv" => {
            let weight = tensor(1);
            assert_eq!(weight[1], input[0], "{}", node.name());
            assert_eq!(weight[2..], ints(node, "kernel_shape"), "{}", node.name());
            slide(weight[0])
        }
        "MaxPool" => slide(input[0]),
        "BatchNormalization" => {
            assert!((1..5).all(|i| tensor(i) == &input[..1]), "{}", node.name());
            input.to_vec()
        }
        "Relu" | "Add" => input.to_vec(),
        "GlobalAveragePool" => vec![input[0], 1, 1],
        "Flatten" => vec![input.iter().product()],
        "Gemm" => {
            assert_eq!((tensor(1)[1], tensor(1)[0]), (input[0], tensor(2)[0]));
            vec![tensor(1)[0]]
        }
        other => panic!("{other}"),
    }
}

fn graph() -> Graph {
    read().graph.unwrap()
}

#[test]
fn nodes_come_in_the_order_of_computation_and_their_shapes_lead_to_the_logits() {
    let graph = graph();
    let tensors: HashMap<&str, Vec<usize>> = graph
        .initializer
        .iter()
        .map(|tensor| (tensor.name(), tensor.dims.iter().map(|&size| size as usize).collect()))
        .collect();
    let mut shapes = HashMap::from([(INPUT.to_owned(), sizes(&graph.input[0]))]);
    assert_eq!(shapes[INPUT], [3, 224, 224]);
    for node in &graph.node {
        let computed: Vec<&String> =
            node.input.iter().filter(|name| !tensors.contains_key(name.as_str())).collect();
        let shape = |name: &str| {
            shapes.get(name).unwrap_or_else(|| panic!("{} needs {name}", node.name())).clone()
        };
        let input = shape(computed[0]);
        for other in &computed[1..] {
            assert_eq!(shape(other), input, "{}", node.name());
        }
        let output = infer(node, &input, &tensors);
        assert!(shapes.insert(node.output[0].clone(), output).is_none(), "{}", node.output[0]);
    }
    assert_eq!(shapes["avgpool"], [2048, 1, 1]);
    assert_eq!(shapes["layer4.2.relu3"], [2048, 7, 7]);
    assert_eq!(sizes(&graph.output[0]), shapes[OUTPUT]);
    assert_eq!(shapes[OUTPUT], [exported().class_names().len()]);
    let count = |op: &str| graph.node.iter().filter(|node| node.op_type() == op).count();
    assert_eq!(["Conv", "BatchNormalization", "Relu", "Add"].map(count), [53, 53, 49, 16]);
}

#[test]
fn every_tensor_is_used_once_and_is_that_of_model_pth_bit_for_bit() {
    let graph = graph();
    let model = model();
    let mut used: Vec<&str> =
        graph.node.iter().flat_map(|node| &node.input).map(String::as_str).collect();
    let given: HashSet<&str> = graph.initializer.iter().map(|tensor| tensor.name()).collect();
    assert_eq!(given.len(), graph.initializer.len());
    used.retain(|name| given.contains(name));
    assert_eq!(used.len(), given.len());
    for tensor in &graph.initializer {
        let ours = model.state_dict.get(tensor.name()).unwrap();
        assert_eq!(tensor.dims, ours.shape.iter().map(|&n| n as i64).collect::<Vec<_>>());
        assert!(tensor.raw_data() == ours.bytes, "{}", tensor.name());
    }
    // The rest are batch norm's 53 counters.
    assert_eq!(graph.initializer.len() + 53, model.state_dict.len());
}

#[test]
fn the_metadata_say_which_model_it_is_and_what_its_outputs_are() {
    let model_proto = read();
    let value = |key: &str| {
        let entry = model_proto.metadata_props.iter().find(|entry| entry.key() == key);
        entry.unwrap().value().to_owned()
    };
    let metadata = model().metadata;
    assert_eq!(value("model_sha256"), metadata.model_sha256);
    let class_names: Vec<String> = serde_json::from_str(&value("class_names")).unwrap();
    assert_eq!(class_names, metadata.class_names);
    assert_eq!(model_proto.opset_import[0].version(), 17);
}
