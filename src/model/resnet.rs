//! The architecture of ResNet50: its blocks, tensor names and shapes.
//!
//! Names and shapes are torchvision's (`torchvision/models/resnet.py`, v1.5: the stride of a
//! bottleneck sits in its 3x3 convolution).

use super::state_dict::{Dtype, TensorSpec};
use crate::config::NUM_FEATURES;

/// Blocks of `layer1` to `layer4` (He et al. 2016, table 1).
const NUM_BLOCKS: [usize; 4] = [3, 4, 6, 3];
/// Width of the 3x3 convolutions of each layer; a block's output is `EXPANSION` times as wide.
const WIDTHS: [usize; 4] = [64, 128, 256, 512];
const EXPANSION: usize = 4;

/// Bottlenecks of `layer1` to `layer3`.
pub const BLOCKS_BEFORE_LAYER4: usize = NUM_BLOCKS[0] + NUM_BLOCKS[1] + NUM_BLOCKS[2];
/// Channels of layer4's input.
pub const LAYER4_CHANNELS: usize = WIDTHS[2] * EXPANSION;
/// Side of layer4's input, in pixels.
pub const LAYER4_SIDE: usize = 14;
/// Values of one image where layer4 begins, `[14, 14, 1024]`.
pub const LAYER4_INPUT_LEN: usize = LAYER4_SIDE * LAYER4_SIDE * LAYER4_CHANNELS;

/// A convolution without bias and the batch norm that follows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConvNorm {
    /// Prefix of the convolution's `weight`.
    pub conv: String,
    /// Prefix of the norm's `weight`, `bias`, `running_mean` and `running_var`.
    pub norm: String,
    /// Input channels.
    pub in_channels: usize,
    /// Output channels.
    pub out_channels: usize,
    /// Side of the square kernel.
    pub kernel: usize,
    /// Step of the kernel, in pixels.
    pub stride: usize,
}

impl ConvNorm {
    /// Zeros on each side of the input, so that stride 1 keeps its size.
    pub fn padding(&self) -> usize {
        self.kernel / 2
    }
}

/// 1x1, 3x3, 1x1 convolutions around which the input is added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bottleneck {
    /// The three convolutions, in order.
    pub convs: [ConvNorm; 3],
    /// Projects the input where its shape is not the output's.
    pub downsample: Option<ConvNorm>,
}

/// conv1 with bn1: `[N, 3, 224, 224]` to `[N, 64, 112, 112]`.
pub fn stem() -> ConvNorm {
    ConvNorm {
        conv: "conv1".into(),
        norm: "bn1".into(),
        in_channels: 3,
        out_channels: WIDTHS[0],
        kernel: 7,
        stride: 2,
    }
}

/// All 16 bottlenecks, from `[N, 64, 56, 56]` to `[N, 2048, 7, 7]`.
pub fn bottlenecks() -> Vec<Bottleneck> {
    let mut in_channels = WIDTHS[0];
    let mut blocks = Vec::new();
    for (layer, (&num_blocks, &width)) in NUM_BLOCKS.iter().zip(&WIDTHS).enumerate() {
        for block in 0..num_blocks {
            let stride = if layer > 0 && block == 0 { 2 } else { 1 };
            let prefix = format!("layer{}.{block}", layer + 1);
            let out_channels = width * EXPANSION;
            let conv = |i: usize, in_channels, out_channels, kernel, stride| ConvNorm {
                conv: format!("{prefix}.conv{i}"),
                norm: format!("{prefix}.bn{i}"),
                in_channels,
                out_channels,
                kernel,
                stride,
            };
            blocks.push(Bottleneck {
                convs: [
                    conv(1, in_channels, width, 1, 1),
                    conv(2, width, width, 3, stride),
                    conv(3, width, out_channels, 1, 1),
                ],
                downsample: (block == 0).then(|| ConvNorm {
                    conv: format!("{prefix}.downsample.0"),
                    norm: format!("{prefix}.downsample.1"),
                    in_channels,
                    out_channels,
                    kernel: 1,
                    stride,
                }),
            });
            in_channels = out_channels;
        }
    }
    blocks
}

/// The head's tensors.
pub const HEAD: [&str; 2] = ["fc.weight", "fc.bias"];

/// Every tensor of the network's state dict but the head's, in torchvision's order.
pub fn backbone_specs() -> Vec<TensorSpec> {
    let is_of_head = |spec: &TensorSpec| HEAD.contains(&spec.name.as_str());
    tensor_specs(0).into_iter().filter(|spec| !is_of_head(spec)).collect()
}

/// Every tensor of the network's state dict, in torchvision's order, the head `fc` last.
pub fn tensor_specs(num_classes: usize) -> Vec<TensorSpec> {
    let mut specs = Vec::new();
    push_conv_norm(&mut specs, &stem());
    for block in bottlenecks() {
        for conv_norm in block.convs.iter().chain(&block.downsample) {
            push_conv_norm(&mut specs, conv_norm);
        }
    }
    specs.push(spec("fc", "weight", &[num_classes, NUM_FEATURES], Dtype::F32));
    specs.push(spec("fc", "bias", &[num_classes], Dtype::F32));
    specs
}

fn push_conv_norm(specs: &mut Vec<TensorSpec>, conv_norm: &ConvNorm) {
    let ConvNorm { conv, norm, in_channels, out_channels, kernel, .. } = conv_norm;
    specs.push(spec(conv, "weight", &[*out_channels, *in_channels, *kernel, *kernel], Dtype::F32));
    for name in ["weight", "bias", "running_mean", "running_var"] {
        specs.push(spec(norm, name, &[*out_channels], Dtype::F32));
    }
    specs.push(spec(norm, "num_batches_tracked", &[], Dtype::I64));
}

fn spec(prefix: &str, name: &str, shape: &[usize], dtype: Dtype) -> TensorSpec {
    TensorSpec { name: format!("{prefix}.{name}"), shape: shape.to_vec(), dtype }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resnet50_has_320_tensors_and_25_557_032_parameters() {
        let specs = tensor_specs(1000);
        assert_eq!(specs.len(), 320);
        let num_parameters: usize = specs
            .iter()
            .filter(|spec| !spec.name.contains("running_") && !spec.name.ends_with("_tracked"))
            .map(|spec| spec.shape.iter().product::<usize>())
            .sum();
        assert_eq!(num_parameters, 25_557_032);
    }

    #[test]
    fn the_stride_of_a_bottleneck_sits_in_its_3x3_convolution() {
        let blocks = bottlenecks();
        assert_eq!(blocks.len(), 16);
        assert_eq!(blocks[3].convs[1].conv, "layer2.0.conv2");
        assert_eq!(blocks[3].convs.each_ref().map(|conv| conv.stride), [1, 2, 1]);
        assert_eq!(blocks[3].downsample.as_ref().map(|conv| conv.stride), Some(2));
        assert!(blocks[4].downsample.is_none());
    }
}
