//! The few names that a state dict's pickle may mention.

use crate::model::state_dict::Dtype;
use crate::model::state_dict::fault::{Fault, Result};

/// What an allowed name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::model::state_dict) enum Global {
    /// Something the pickle calls.
    Callable(Callable),
    /// `torch.FloatStorage` and its kind: the element type of a storage.
    Storage(Dtype),
    /// A value that a checkpoint's other entries mention, such as `torch.float32`.
    Inert,
}

/// What a pickle may call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::model::state_dict) enum Callable {
    /// `OrderedDict()` or `OrderedDict(pairs)`.
    OrderedDict,
    /// `(storage, offset, size, stride, ..)`; older files have no more arguments than these.
    Tensor,
    /// `(tensor, requires_grad, hooks, ..)`.
    RebuildParameter,
    /// The class: `(tensor,)`, or nothing with the tensor in its state.
    Parameter,
    /// Makes a value that no tensor depends on.
    Inert,
}

impl Global {
    /// What `module.name` stands for; a refusal that names it if it is none of the few.
    pub(super) fn find(module: &[u8], name: &[u8]) -> Result<Self> {
        let callable = match (module, name) {
            (b"collections", b"OrderedDict") => Callable::OrderedDict,
            (b"torch._utils", b"_rebuild_tensor" | b"_rebuild_tensor_v2") => Callable::Tensor,
            (b"torch._utils", b"_rebuild_parameter" | b"_rebuild_parameter_with_state") => {
                Callable::RebuildParameter
            }
            (b"torch.nn.parameter", b"Parameter") => Callable::Parameter,
            (b"torch", b"Size" | b"device") => Callable::Inert,
            (b"torch", name) => return torch_name(name).ok_or_else(|| refuse(module, name)),
            _ => return Err(refuse(module, name)),
        };
        Ok(Global::Callable(callable))
    }
}

/// A storage class or an element type of the `torch` module.
fn torch_name(name: &[u8]) -> Option<Global> {
    let storage = match name {
        b"DoubleStorage" => Dtype::F64,
        b"FloatStorage" => Dtype::F32,
        b"HalfStorage" => Dtype::F16,
        b"BFloat16Storage" => Dtype::Bf16,
        b"LongStorage" => Dtype::I64,
        b"IntStorage" => Dtype::I32,
        b"ShortStorage" => Dtype::I16,
        b"CharStorage" => Dtype::I8,
        b"ByteStorage" => Dtype::U8,
        b"BoolStorage" => Dtype::Bool,
        _ => {
            let is_dtype = Dtype::ALL.iter().any(|dtype| dtype.name().as_bytes() == name);
            return is_dtype.then_some(Global::Inert);
        }
    };
    Some(Global::Storage(storage))
}

fn refuse(module: &[u8], name: &[u8]) -> Fault {
    /// A name is shown in full unless it is absurd.
    const MAX_SHOWN_BYTES: usize = 200;
    let show = |text: &[u8]| text[..text.len().min(MAX_SHOWN_BYTES)].escape_ascii().to_string();
    Fault::Refused(format!(
        "its pickle asks for {}.{}, which a state dict does not need",
        show(module),
        show(name)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_dtype_has_a_storage_class() {
        let storages =
            ["Double", "Float", "Half", "BFloat16", "Long", "Int", "Short", "Char", "Byte", "Bool"];
        for (name, dtype) in storages.iter().zip(Dtype::ALL) {
            let found = Global::find(b"torch", format!("{name}Storage").as_bytes());
            assert_eq!(found.unwrap(), Global::Storage(dtype));
        }
    }

    #[test]
    fn a_refusal_names_what_was_asked_for() {
        for (module, name) in [
            ("os", "system"),
            ("builtins", "eval"),
            ("torch", "load"),
            ("torch._utils", "_rebuild_sparse_tensor"),
            ("collections", "OrderedDict.fromkeys"),
            ("torchvision.models.resnet", "ResNet"),
        ] {
            let Err(Fault::Refused(reason)) = Global::find(module.as_bytes(), name.as_bytes())
            else {
                panic!("{module}.{name} was not refused");
            };
            assert!(reason.contains(&format!("{module}.{name},")), "{reason}");
        }
    }
}
