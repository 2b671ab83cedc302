//! How far numbers are from those that were expected.

/// The root mean square error of `found`, as a part of the root mean square of `expected`.
pub fn relative_error(found: &[f32], expected: &[f64]) -> f64 {
    let pairs = found.iter().zip(expected);
    let error: f64 = pairs.map(|(&found, expected)| (f64::from(found) - expected).powi(2)).sum();
    let square: f64 = expected.iter().map(|expected| expected.powi(2)).sum();
    (error / square).sqrt()
}
