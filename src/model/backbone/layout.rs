//! Channels-last, the layout that libtorch recognizes by the strides.

use tch::{Kind, TchError, Tensor};

use crate::model::resnet::LAYER4_INPUT_LEN;

/// The same `[N, C, H, W]` tensor, stored as `[N, H, W, C]`.
pub(in crate::model) fn channels_last(x: &Tensor) -> Result<Tensor, TchError> {
    x.f_permute([0, 2, 3, 1])?.f_contiguous()?.f_permute([0, 3, 1, 2])
}

/// Writes the first images of `x`, `[batch, 1024, 14, 14]`, to `cut`, `[N, 14, 14, 1024]` in the bits of
/// bf16.
pub(super) fn copy_cut(x: &Tensor, cut: &mut [u16]) -> Result<(), TchError> {
    let num_images = cut.len() / LAYER4_INPUT_LEN;
    let x = x.f_narrow(0, 0, num_images as i64)?.f_to_kind(Kind::BFloat16)?;
    let x = x.f_permute([0, 2, 3, 1])?.f_contiguous()?.f_view_dtype(Kind::Int16)?;
    let mut bits = vec![0i16; cut.len()];
    x.f_copy_data(&mut bits, cut.len())?;
    for (out, bits) in cut.iter_mut().zip(bits) {
        *out = bits.cast_unsigned();
    }
    Ok(())
}
