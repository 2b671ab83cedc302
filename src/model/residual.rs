//! A residual block of ResNet50 on libtorch, whatever its convolutions are.

use tch::{TchError, Tensor};

/// Three convolutions around a shortcut, which has one of its own where the shapes differ. `x` is
/// `[N, C, H, W]`; `forward` applies a convolution with the norm after it.
pub(super) fn forward<C>(
    convs: &[C; 3],
    downsample: Option<&C>,
    x: &Tensor,
    forward: impl Fn(&C, &Tensor) -> Result<Tensor, TchError>,
) -> Result<Tensor, TchError> {
    let [conv1, conv2, conv3] = convs;
    let out = forward(conv1, x)?.f_relu_()?;
    let out = forward(conv2, &out)?.f_relu_()?;
    let mut out = forward(conv3, &out)?;
    match downsample {
        Some(downsample) => out.f_add_(&forward(downsample, x)?)?.f_relu_(),
        None => out.f_add_(x)?.f_relu_(),
    }
}
