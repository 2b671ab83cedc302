//! The learning rate as a function of the step.

use std::f64::consts::PI;

/// Cosine decay from `peak` at step 0 towards zero at step `num_steps`, without restarts
/// (Loshchilov and Hutter 2017).
pub fn cosine(peak: f64, step: usize, num_steps: usize) -> f64 {
    peak * 0.5 * (1.0 + (PI * step as f64 / num_steps as f64).cos())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn falls_from_the_peak_through_its_half_to_zero() {
        assert_eq!(cosine(0.1, 0, 100), 0.1);
        assert!((cosine(0.1, 50, 100) - 0.05).abs() < 1e-12);
        assert!(cosine(0.1, 100, 100).abs() < 1e-12);
        assert!((0..100).all(|step| cosine(0.1, step, 100) > cosine(0.1, step + 1, 100)));
    }
}
