//! The network with its tensors and what they mean.

use super::nodes::resnet50;
use super::proto::{
    DataType, Dimension, DimensionValue, Graph, Model, OperatorSet, Shape, StringEntry, Tensor,
    TensorType, Type, ValueInfo,
};
use crate::artifact::Metadata;
use crate::config::CROP;
use crate::error::Result;
use crate::export::description::Description;
use crate::model::state_dict::{Dtype, StateDict, TensorData};

/// The operators used have not changed since opset 15. 17 and version 8 of the format are from
/// ONNX 1.12 of 2022, which runtimes of that year and later read.
const OPSET: i64 = 17;
const IR_VERSION: i64 = 8;

/// `[batch, 3, 224, 224]` f32, normalized as `transform` in the metadata says.
pub const INPUT: &str = "input";
/// `[batch, classes]` f32.
pub const OUTPUT: &str = "logits";

/// The network for any batch size, with class names and transform as its metadata. `state_dict` has passed
/// [`StateDict::check`].
///
/// # Errors
/// When the metadata cannot be written as JSON.
pub fn model(state_dict: &StateDict, metadata: &Metadata) -> Result<Model> {
    let side = i64::from(CROP);
    let num_classes = metadata.class_names.len() as i64;
    let graph = Graph {
        node: resnet50(INPUT, OUTPUT),
        name: Some(metadata.architecture.clone()),
        initializer: state_dict.iter().filter(|(name, _)| is_used(name)).map(tensor).collect(),
        input: vec![value(INPUT, &[3, side, side])],
        output: vec![value(OUTPUT, &[num_classes])],
    };
    let metadata_props = Description::of(metadata)
        .pairs()?
        .into_iter()
        .map(|(key, value)| StringEntry { key: Some(key.to_owned()), value: Some(value) });
    Ok(Model {
        ir_version: Some(IR_VERSION),
        producer_name: Some(env!("CARGO_PKG_NAME").to_owned()),
        producer_version: Some(env!("CARGO_PKG_VERSION").to_owned()),
        graph: Some(graph),
        opset_import: vec![OperatorSet { domain: Some(String::new()), version: Some(OPSET) }],
        metadata_props: metadata_props.collect(),
    })
}

/// Batch norm's step counter has no part in the computation.
fn is_used(name: &str) -> bool {
    !name.ends_with(".num_batches_tracked")
}

fn tensor((name, tensor): (&str, &TensorData)) -> Tensor {
    let raw_data = match tensor.dtype {
        Dtype::F32 => tensor.bytes.clone(),
        _ => TensorData::from_f32(&tensor.shape, &tensor.to_f32()).bytes,
    };
    Tensor {
        dims: tensor.shape.iter().map(|&size| size as i64).collect(),
        data_type: Some(DataType::Float.into()),
        name: Some(name.to_owned()),
        raw_data: Some(raw_data),
    }
}

/// A tensor whose first dimension is the batch.
fn value(name: &str, sizes: &[i64]) -> ValueInfo {
    let batch = DimensionValue::DimParam("batch".to_owned());
    let sizes = sizes.iter().map(|&size| DimensionValue::DimValue(size));
    let dim = std::iter::once(batch).chain(sizes).map(|value| Dimension { value: Some(value) });
    let tensor_type = TensorType {
        elem_type: Some(DataType::Float.into()),
        shape: Some(Shape { dim: dim.collect() }),
    };
    ValueInfo { name: Some(name.to_owned()), r#type: Some(Type { tensor_type: Some(tensor_type) }) }
}
