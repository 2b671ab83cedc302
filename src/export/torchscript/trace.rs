//! The module that libtorch makes of a network.

use std::io;
use std::path::Path;

use tch::{CModule, Device, Kind, TchError, Tensor};

use crate::artifact::TrainedModel;
use crate::config::CROP;
use crate::error::{Action, Error, Result};
use crate::model::backbone::LibtorchBackbone;
use crate::model::head::Head;

/// Name of the module's class.
const CLASS_NAME: &str = "ResNet50";

/// Writes the module into a file that nobody reads yet.
///
/// # Errors
/// [`Error::Io`] with the path; [`Error::Internal`] when libtorch fails.
pub fn save_module(model: &TrainedModel, path: &Path) -> Result<()> {
    trace(model)?.save(path).map_err(io::Error::other).map_err(Error::io(Action::Write, path))
}

fn trace(model: &TrainedModel) -> Result<CModule> {
    let backbone = LibtorchBackbone::new(&model.state_dict, 1)?;
    let head = Head::from_state_dict(&model.state_dict)?;
    let weight = Tensor::f_from_slice(&head.weight)?.f_view([head.num_classes() as i64, -1])?;
    let bias = Tensor::f_from_slice(&head.bias)?;
    let logits = |images: &Tensor| -> Result<Tensor, TchError> {
        backbone.features(images)?.f_linear(&weight, Some(&bias)) // [N, classes]
    };
    let side = i64::from(CROP);
    let image = Tensor::f_zeros([1, 3, side, side], (Kind::Float, Device::Cpu))?;
    let mut failure = None;
    // The trace must be ended, or every later one of this thread would fail.
    let mut compute = |inputs: &[Tensor]| match logits(&inputs[0]) {
        Ok(logits) => vec![logits],
        Err(error) => {
            failure = Some(error);
            Vec::new()
        }
    };
    let module =
        tch::no_grad(|| CModule::create_by_tracing(CLASS_NAME, "forward", &[image], &mut compute));
    match failure {
        Some(error) => Err(error.into()),
        None => Ok(module?),
    }
}
