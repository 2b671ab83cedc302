//! One fused convolution: the seam between Rust and libtorch's oneDNN operators.
#![allow(unsafe_code)]

use std::ffi::c_char;
use std::fmt;
use std::ptr;

use tch::Tensor;
use torch_sys::C_tensor;

use crate::error::Result;
use crate::seam::checked;

/// As failures name it.
const LIBRARY: &str = "libtorch";

/// Stride and padding of a square convolution, in pixels; the same struct is in `onednn.cpp`.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(super) struct Geometry {
    pub(super) stride: i64,
    pub(super) padding: i64,
}

// native/onednn.cpp. A tensor of tch is a pointer to an `at::Tensor` on the heap, as there.
unsafe extern "C" {
    fn ec2train_onednn_pack(
        weight: *const C_tensor,
        geometry: Geometry,
        input: *const i64,
        packed: *mut *mut C_tensor,
        message: *mut c_char,
        capacity: usize,
    ) -> bool;
    fn ec2train_onednn_convolve(
        x: *const C_tensor,
        weight: *const C_tensor,
        bias: *const C_tensor,
        geometry: Geometry,
        relu: bool,
        y: *mut *mut C_tensor,
        message: *mut c_char,
        capacity: usize,
    ) -> bool;
    fn ec2train_onednn_convolve_add_relu(
        sum: *mut C_tensor,
        x: *const C_tensor,
        weight: *const C_tensor,
        bias: *const C_tensor,
        geometry: Geometry,
        message: *mut c_char,
        capacity: usize,
    ) -> bool;
    fn ec2train_onednn_request_amx(
        granted: *mut bool,
        message: *mut c_char,
        capacity: usize,
    ) -> bool;
}

/// A convolution whose weights lie as oneDNN reads them.
///
/// `x` of its functions is `[N, in, H, W]`, channels last, of the weights' kind. Sums are taken in
/// f32 in both precisions; in bf16 a result is rounded once, after the bias, sum and relu.
pub(super) struct PackedConv {
    /// `[out, in, kernel, kernel]`, opaque: only oneDNN's operators read it.
    weight: Tensor,
    /// `[out]`, of the weights' kind.
    bias: Tensor,
    geometry: Geometry,
}

impl PackedConv {
    /// Packs `weight`, `[out, in, kernel, kernel]`, for inputs of shape `input` and for as many
    /// threads as libtorch has now. Other inputs and threads give the same function, slower.
    ///
    /// # Errors
    /// When oneDNN cannot pack on this CPU.
    pub(super) fn new(
        weight: &Tensor,
        bias: Tensor,
        geometry: Geometry,
        input: [i64; 4],
    ) -> Result<Self> {
        let mut packed = ptr::null_mut();
        // SAFETY: `weight` lives through the call, `input` has the four numbers that are read.
        checked(LIBRARY, |message, capacity| unsafe {
            ec2train_onednn_pack(
                weight.as_ptr(),
                geometry,
                input.as_ptr(),
                &mut packed,
                message,
                capacity,
            )
        })?;
        // SAFETY: the call succeeded, so `packed` is a tensor on the heap that is ours alone.
        let weight = unsafe { Tensor::from_ptr(packed) };
        Ok(PackedConv { weight, bias, geometry })
    }

    /// Another handle on the same weights, for another thread: libtorch counts its tensors'
    /// owners atomically and the operators only read the weights.
    pub(super) fn share(&self) -> Self {
        PackedConv {
            weight: self.weight.shallow_clone(),
            bias: self.bias.shallow_clone(),
            geometry: self.geometry,
        }
    }

    /// The convolution of `x` plus the bias, `[N, out, H', W']`.
    ///
    /// # Errors
    /// When libtorch refuses the shapes or kinds, or the CPU.
    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.convolve(x, false)
    }

    /// [`PackedConv::forward`] clipped at zero.
    ///
    /// # Errors
    /// As [`PackedConv::forward`].
    pub(super) fn forward_relu(&self, x: &Tensor) -> Result<Tensor> {
        self.convolve(x, true)
    }

    /// `relu(sum + convolution of x + bias)`, in the memory of `sum`, `[N, out, H', W']`, which no
    /// other handle may read afterwards.
    ///
    /// # Errors
    /// As [`PackedConv::forward`].
    pub(super) fn forward_add_relu(&self, mut sum: Tensor, x: &Tensor) -> Result<Tensor> {
        // SAFETY: all tensors live through the call; `sum` is borrowed exclusively.
        checked(LIBRARY, |message, capacity| unsafe {
            ec2train_onednn_convolve_add_relu(
                sum.as_mut_ptr(),
                x.as_ptr(),
                self.weight.as_ptr(),
                self.bias.as_ptr(),
                self.geometry,
                message,
                capacity,
            )
        })?;
        Ok(sum)
    }

    fn convolve(&self, x: &Tensor, relu: bool) -> Result<Tensor> {
        let mut y = ptr::null_mut();
        // SAFETY: all tensors live through the call.
        checked(LIBRARY, |message, capacity| unsafe {
            ec2train_onednn_convolve(
                x.as_ptr(),
                self.weight.as_ptr(),
                self.bias.as_ptr(),
                self.geometry,
                relu,
                &mut y,
                message,
                capacity,
            )
        })?;
        // SAFETY: the call succeeded, so `y` is a tensor on the heap that is ours alone.
        Ok(unsafe { Tensor::from_ptr(y) })
    }
}

impl fmt::Debug for PackedConv {
    /// The bias stands for the weights, whose numbers tch cannot read.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PackedConv")
            .field("bias", &self.bias)
            .field("geometry", &self.geometry)
            .finish_non_exhaustive()
    }
}

/// Asks the operating system for the AMX registers, which it gives to processes that ask. False
/// where it does not, or has none to give.
pub(super) fn request_amx() -> Result<bool> {
    let mut granted = false;
    // SAFETY: `granted` is written before the call returns.
    checked(LIBRARY, |message, capacity| unsafe {
        ec2train_onednn_request_amx(&mut granted, message, capacity)
    })?;
    Ok(granted)
}

#[cfg(test)]
mod tests {
    use tch::Kind;

    use super::*;
    use crate::model::backbone::layout::channels_last;

    /// 8 channels to 16, kernel 3, on 6x6 pixels.
    fn conv(kind: Kind) -> Result<PackedConv> {
        let weight = channels_last(&Tensor::randn([16, 8, 3, 3], (kind, tch::Device::Cpu)))?;
        let bias = Tensor::zeros([16], (kind, tch::Device::Cpu));
        PackedConv::new(&weight, bias, Geometry { stride: 1, padding: 1 }, [2, 8, 6, 6])
    }

    #[test]
    fn an_exception_of_libtorch_comes_back_as_an_error_with_its_words() {
        let conv = conv(Kind::Float).unwrap();
        let x = Tensor::zeros([2, 7, 6, 6], tch::kind::FLOAT_CPU);
        let error = conv.forward(&x).unwrap_err();
        assert_eq!(error.exit_code(), 70);
        assert!(error.to_string().contains("to have 8 channels, but got 7"), "{error}");
        let sum = Tensor::zeros([2, 16, 5, 5], tch::kind::FLOAT_CPU);
        let x = Tensor::zeros([2, 8, 6, 6], tch::kind::FLOAT_CPU);
        let error = conv.forward_add_relu(sum, &x).unwrap_err();
        assert!(error.to_string().contains("same shape"), "{error}");
    }

    #[test]
    fn a_handle_on_another_thread_computes_the_same_after_the_first_is_dropped() {
        let conv = conv(Kind::Float).unwrap();
        let x = channels_last(&Tensor::randn([2, 8, 6, 6], tch::kind::FLOAT_CPU)).unwrap();
        let here = conv.forward_relu(&x).unwrap();
        let (shared, x) = (conv.share(), x.shallow_clone());
        drop(conv);
        let there = std::thread::spawn(move || shared.forward_relu(&x).unwrap()).join().unwrap();
        assert_eq!(here, there);
    }

    #[test]
    fn a_sum_is_taken_in_the_memory_of_its_first_term() {
        let conv = conv(Kind::Float).unwrap();
        let x = channels_last(&Tensor::randn([2, 8, 6, 6], tch::kind::FLOAT_CPU)).unwrap();
        let sum = channels_last(&Tensor::ones([2, 16, 6, 6], tch::kind::FLOAT_CPU)).unwrap();
        let expected = (conv.forward(&x).unwrap() + &sum).relu();
        let address = sum.data_ptr();
        let found = conv.forward_add_relu(sum, &x).unwrap();
        assert_eq!(found.data_ptr(), address);
        assert!(found.allclose(&expected, 1e-5, 1e-5, false));
    }
}
