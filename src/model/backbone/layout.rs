//! Channels-last, the layout that libtorch recognizes by the strides.

use tch::{TchError, Tensor};

/// The same `[N, C, H, W]` tensor, stored as `[N, H, W, C]`.
pub(super) fn channels_last(x: &Tensor) -> Result<Tensor, TchError> {
    x.f_permute([0, 2, 3, 1])?.f_contiguous()?.f_permute([0, 3, 1, 2])
}
