//! ResNet50 as ONNX operators.

use super::proto::{Attribute, AttributeType, Node};
use crate::model::fold::NORM_EPSILON;
use crate::model::resnet::{self, ConvNorm};

/// Every node from the value `input`, `[N, 3, 224, 224]`, to the value `output`, `[N, classes]`, in
/// the order of computation. Tensors have torchvision's names, and so have nodes. Batch norms are nodes
/// of their own, with the bits of model.pth: a runtime folds them when it loads the file.
pub(super) fn resnet50(input: &str, output: &str) -> Vec<Node> {
    let mut nodes = Nodes::default();
    let x = nodes.conv_norm(input, &resnet::stem());
    let x = nodes.relu(&x, "relu");
    let pool = [ints("kernel_shape", &[3; 2]), ints("pads", &[1; 4]), ints("strides", &[2; 2])];
    let mut x = nodes.push("MaxPool", "maxpool", &[&x], pool.into());
    for block in resnet::bottlenecks() {
        let [conv1, conv2, conv3] = &block.convs;
        // `layer1.0` of `layer1.0.conv1`
        let name = conv1.conv.trim_end_matches(".conv1");
        let out = nodes.conv_norm(&x, conv1);
        let out = nodes.relu(&out, &format!("{name}.relu1"));
        let out = nodes.conv_norm(&out, conv2);
        let out = nodes.relu(&out, &format!("{name}.relu2"));
        let out = nodes.conv_norm(&out, conv3);
        let shortcut = match &block.downsample {
            Some(downsample) => nodes.conv_norm(&x, downsample),
            None => x,
        };
        let sum = nodes.push("Add", &format!("{name}.add"), &[&out, &shortcut], Vec::new());
        x = nodes.relu(&sum, &format!("{name}.relu3"));
    }
    let x = nodes.push("GlobalAveragePool", "avgpool", &[&x], Vec::new()); // [N, 2048, 1, 1]
    let x = nodes.push("Flatten", "flatten", &[&x], vec![int("axis", 1)]); // [N, 2048]
    nodes.push("Gemm", "fc", &[&x, "fc.weight", "fc.bias"], vec![int("transB", 1)]);
    let mut nodes = nodes.0;
    if let Some(last) = nodes.last_mut() {
        last.output = vec![output.to_owned()];
    }
    nodes
}

/// Each node gives one value, which has the node's name.
#[derive(Default)]
struct Nodes(Vec<Node>);

impl Nodes {
    fn push(
        &mut self,
        op_type: &str,
        name: &str,
        inputs: &[&str],
        attribute: Vec<Attribute>,
    ) -> String {
        self.0.push(Node {
            input: inputs.iter().map(|&input| input.to_owned()).collect(),
            output: vec![name.to_owned()],
            name: Some(name.to_owned()),
            op_type: Some(op_type.to_owned()),
            attribute,
        });
        name.to_owned()
    }

    fn conv_norm(&mut self, x: &str, conv_norm: &ConvNorm) -> String {
        let ConvNorm { conv, norm, kernel, stride, .. } = conv_norm;
        let attributes = vec![
            ints("kernel_shape", &[*kernel; 2]),
            ints("pads", &[conv_norm.padding(); 4]),
            ints("strides", &[*stride; 2]),
        ];
        let x = self.push("Conv", conv, &[x, &format!("{conv}.weight")], attributes);
        let tensors = norm_tensors(norm);
        let [scale, bias, mean, var] = tensors.each_ref().map(String::as_str);
        let epsilon = vec![float("epsilon", NORM_EPSILON as f32)];
        self.push("BatchNormalization", norm, &[&x, scale, bias, mean, var], epsilon)
    }

    fn relu(&mut self, x: &str, name: &str) -> String {
        self.push("Relu", name, &[x], Vec::new())
    }
}

/// In the order of the operator's inputs.
fn norm_tensors(norm: &str) -> [String; 4] {
    ["weight", "bias", "running_mean", "running_var"].map(|name| format!("{norm}.{name}"))
}

fn int(name: &str, value: i64) -> Attribute {
    Attribute { i: Some(value), ..attribute(name, AttributeType::Int) }
}

fn ints(name: &str, values: &[usize]) -> Attribute {
    let ints = values.iter().map(|&value| value as i64).collect();
    Attribute { ints, ..attribute(name, AttributeType::Ints) }
}

fn float(name: &str, value: f32) -> Attribute {
    Attribute { f: Some(value), ..attribute(name, AttributeType::Float) }
}

fn attribute(name: &str, r#type: AttributeType) -> Attribute {
    Attribute { name: Some(name.to_owned()), r#type: Some(r#type.into()), ..Attribute::default() }
}
