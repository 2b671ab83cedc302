//! The cross-entropy of a softmax, with its gradient.

/// Replaces the logits `[C]` of an image by the gradient of the mean cross-entropy over `num_samples`
/// images, `(softmax - one-hot) / num_samples`, and returns the image's cross-entropy in nats.
pub(super) fn subtract_target(logits: &mut [f32], target: usize, num_samples: usize) -> f64 {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let of_target = logits[target] - max;
    let mut sum = 0.0;
    for logit in &mut *logits {
        *logit = (*logit - max).exp();
        sum += *logit;
    }
    let scale = 1.0 / (sum * num_samples as f32);
    logits.iter_mut().for_each(|value| *value *= scale);
    logits[target] -= 1.0 / num_samples as f32;
    f64::from(sum).ln() - f64::from(of_target)
}
