//! The formats, and what each is for.

/// A file that another program reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// All tensors of model.pth under torchvision's names: `safetensors.torch.load_file`.
    Safetensors,
    /// The network from pixels to logits: ONNX Runtime, OpenVINO, TensorRT, and most else.
    Onnx,
    /// The network for `torch.jit.load`, without Python code. Needs libtorch to be written.
    TorchScript,
    /// The same in the archive that PyTorch's container on SageMaker starts from.
    SageMaker,
}

impl Format {
    /// Every format.
    pub const ALL: [Format; 4] =
        [Format::Safetensors, Format::Onnx, Format::TorchScript, Format::SageMaker];

    /// Whether libtorch writes it.
    pub const fn needs_libtorch(self) -> bool {
        matches!(self, Format::TorchScript | Format::SageMaker)
    }

    /// As on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Format::Safetensors => "safetensors",
            Format::Onnx => "onnx",
            Format::TorchScript => "torchscript",
            Format::SageMaker => "sagemaker",
        }
    }

    /// Name of the file.
    pub const fn file_name(self) -> &'static str {
        match self {
            Format::Safetensors => "model.safetensors",
            Format::Onnx => "model.onnx",
            Format::TorchScript => "model.pt",
            Format::SageMaker => "model.tar.gz",
        }
    }

    /// Who reads it, in a line.
    pub const fn summary(self) -> &'static str {
        match self {
            Format::Safetensors => "tensors under torchvision's names",
            Format::Onnx => "the network, for ONNX Runtime and others",
            Format::TorchScript => "the network, for torch.jit.load",
            Format::SageMaker => "the same, for an endpoint with PyTorch's own container",
        }
    }
}
