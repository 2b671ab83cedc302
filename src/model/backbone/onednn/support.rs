//! Whether this CPU and this libtorch run the fused operators.

use tch::{Kind, Tensor};

use super::convolution::{Geometry, PackedConv, request_amx};
use super::instructions::require_instructions;
use super::kind;
use crate::error::Result;
use crate::model::backbone::Precision;
use crate::model::backbone::layout::channels_last;

/// Why a precision cannot be used here, in words for the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unsupported(String);

/// Whether [`check_support`] finds nothing; what it finds goes to the log.
pub fn is_supported(precision: Precision) -> bool {
    check_support(precision)
        .inspect_err(|why| log::info!("no fused {precision} convolutions: {why}"))
        .is_ok()
}

/// Looks at the CPU, then tries both operators on small tensors.
///
/// # Errors
/// When the CPU lacks the instructions without which `precision` is no gain, when
/// `ONEDNN_MAX_CPU_ISA` or the operating system withholds them, or when the trial fails.
pub fn check_support(precision: Precision) -> Result<(), Unsupported> {
    require_instructions(precision).map_err(Unsupported)?;
    if precision == Precision::Bf16 && !request_amx().map_err(|why| Unsupported(why.to_string()))? {
        return Err(Unsupported("the operating system does not give the AMX registers".into()));
    }
    match trial_errors(precision) {
        Ok(errors) if errors.iter().all(|&error| error <= tolerance(precision)) => Ok(()),
        Ok(errors) => Err(Unsupported(format!(
            "the trial convolutions are off by {errors:?} of their largest values"
        ))),
        Err(error) => Err(Unsupported(format!("the trial convolution failed: {error}"))),
    }
}

/// Of the largest value. The trial's sums are small whole numbers, which f32 holds exactly; bf16
/// keeps 8 bits of a result.
fn tolerance(precision: Precision) -> f64 {
    match precision {
        Precision::Fp32 => 0.0,
        Precision::Bf16 => 1.0 / 256.0,
    }
}

/// The largest difference of each fused operator from plain ones, relative to the largest value;
/// NaN where it computes one.
fn trial_errors(precision: Precision) -> Result<[f64; 2]> {
    tch::no_grad(|| {
        let x = whole_numbers([2, 64, 14, 14], 7)?;
        let weight = whole_numbers([64, 64, 3, 3], 3)?;
        let bias = whole_numbers([64], 5)?;
        let expected = x.f_conv2d(&weight, Some(&bias), [1, 1], [1, 1], [1, 1], 1)?;
        let expected_sum = expected.f_relu()?.f_add(&expected)?.f_relu()?;

        let kind = kind(precision);
        let [x, weight] = [channels_last(&x)?, channels_last(&weight)?];
        let [x, weight, bias] =
            [x.f_to_kind(kind)?, weight.f_to_kind(kind)?, bias.f_to_kind(kind)?];
        let geometry = Geometry { stride: 1, padding: 1 };
        let conv = PackedConv::new(&weight, bias, geometry, [2, 64, 14, 14])?;
        let relu = conv.forward_relu(&x)?;
        let error = largest_difference(&relu, &expected.f_relu()?)?;
        let sum = conv.forward_add_relu(relu, &x)?;
        Ok([error, largest_difference(&sum, &expected_sum)?])
    })
}

/// Numbers from -`bound`/2 to `bound`/2, mixed in a fixed way.
fn whole_numbers<const D: usize>(shape: [i64; D], bound: i64) -> Result<Tensor> {
    let len: i64 = shape.iter().product();
    let values: Vec<f32> = (0..len)
        .map(|index| ((index * index + 3 * index) / 2 % 1009 % bound - bound / 2) as f32)
        .collect();
    Ok(Tensor::f_from_slice(&values)?.f_view(&shape[..])?)
}

fn largest_difference(found: &Tensor, expected: &Tensor) -> Result<f64> {
    let largest = |x: &Tensor| -> Result<f64> { Ok(x.f_abs()?.f_max()?.f_double_value(&[])?) };
    let difference = largest(&(found.f_to_kind(Kind::Float)?.f_sub(expected)?))?;
    Ok(difference / largest(expected)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_trial_is_exact_in_f32_where_it_can_run() {
        match check_support(Precision::Fp32) {
            Ok(()) => assert_eq!(trial_errors(Precision::Fp32).unwrap(), [0.0, 0.0]),
            Err(why) => eprintln!("SKIPPED: no fused fp32 convolutions here: {why}"),
        }
    }

    #[test]
    fn the_trial_of_bf16_ends_in_a_result_or_an_error_on_every_cpu() {
        match trial_errors(Precision::Bf16) {
            Ok(errors) => assert!(errors.iter().all(|&e| e <= 1.0 / 256.0), "{errors:?}"),
            Err(error) => assert!(error.to_string().contains("bf16 path needs"), "{error}"),
        }
    }
}
