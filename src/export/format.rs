//! The formats, and what each is for.

/// A file that another program reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// All tensors of model.pth under torchvision's names: `safetensors.torch.load_file`.
    Safetensors,
}

impl Format {
    /// Every format.
    pub const ALL: [Format; 1] = [Format::Safetensors];

    /// As on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Format::Safetensors => "safetensors",
        }
    }

    /// Name of the file.
    pub const fn file_name(self) -> &'static str {
        match self {
            Format::Safetensors => "model.safetensors",
        }
    }

    /// Who reads it, in a line.
    pub const fn summary(self) -> &'static str {
        match self {
            Format::Safetensors => "tensors under torchvision's names",
        }
    }
}
