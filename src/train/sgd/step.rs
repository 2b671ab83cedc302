//! The seam between Rust and the step in C++.
#![allow(unsafe_code)]

use std::ffi::c_char;

use tch::Tensor;
use torch_sys::C_tensor;

use crate::error::Result;
use crate::seam::checked;

/// Factors of a step; the same struct is in `native/sgd.cpp`.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(super) struct Factors {
    pub(super) momentum: f32,
    pub(super) weight_decay: f32,
    pub(super) rate: f32,
}

// native/sgd.cpp. A tensor of tch is a pointer to an `at::Tensor` on the heap, as there.
unsafe extern "C" {
    fn ec2train_sgd_step(
        value: *const C_tensor,
        velocity: *const C_tensor,
        gradient: *const C_tensor,
        factors: Factors,
        message: *mut c_char,
        capacity: usize,
    ) -> bool;
}

/// `velocity = momentum * velocity + gradient + weight_decay * value`, then
/// `value -= rate * velocity`, all f32 of one shape.
///
/// # Errors
/// When shapes or kinds differ.
pub(super) fn step(
    value: &mut Tensor,
    velocity: &mut Tensor,
    gradient: &Tensor,
    factors: Factors,
) -> Result<()> {
    // SAFETY: all tensors live through the call; the two that are written are borrowed exclusively.
    checked("libtorch", |message, capacity| unsafe {
        ec2train_sgd_step(
            value.as_ptr(),
            velocity.as_ptr(),
            gradient.as_ptr(),
            factors,
            message,
            capacity,
        )
    })
}
