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
/// [`Error::Internal`](crate::Error::Internal) when shapes or kinds differ.
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

#[cfg(test)]
mod tests {
    use tch::Kind;
    use tch::kind::FLOAT_CPU;

    use super::*;

    const FACTORS: Factors = Factors { momentum: 0.5, weight_decay: 0.25, rate: 0.1 };

    #[test]
    fn a_step_by_hand_whatever_the_order_in_memory() {
        for is_transposed in [false, true] {
            let mut value = Tensor::from_slice(&[4.0f32, 8.0, 12.0, 16.0, 20.0, 24.0]).view([2, 3]);
            let mut velocity = Tensor::full([2, 3], 2.0, FLOAT_CPU);
            let mut gradient = Tensor::from_slice(&[1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0]).view([2, 3]);
            if is_transposed {
                gradient = gradient.tr().contiguous().tr();
            }
            step(&mut value, &mut velocity, &gradient, FACTORS).unwrap();
            // 0.5 * 2 + gradient + 0.25 * value
            let expected = Tensor::from_slice(&[3.0f32, 5.0, 7.0, 9.0, 11.0, 13.0]).view([2, 3]);
            assert_eq!(velocity, expected);
            let expected = Tensor::from_slice(&[3.7f32, 7.5, 11.3, 15.1, 18.9, 22.7]).view([2, 3]);
            assert!(value.allclose(&expected, 1e-6, 0.0, false), "{value}");
        }
    }

    #[test]
    fn other_shapes_and_kinds_are_errors() {
        let mut value = Tensor::zeros([2, 3], FLOAT_CPU);
        let mut velocity = Tensor::zeros([2, 3], FLOAT_CPU);
        let other_shape = Tensor::zeros([3], FLOAT_CPU);
        let error = step(&mut value, &mut velocity, &other_shape, FACTORS).unwrap_err();
        assert!(error.to_string().contains("shape"), "{error}");
        let other_kind = Tensor::zeros([2, 3], (Kind::Double, tch::Device::Cpu));
        assert!(step(&mut value, &mut velocity, &other_kind, FACTORS).is_err());
    }
}
