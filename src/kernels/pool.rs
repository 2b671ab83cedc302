//! Pooling.

/// Maximum over 3x3 pixels in steps of 2: `[side, side, C]`, none negative, to
/// `[side / 2, side / 2, C]` f32. Pixels outside count as zeros. `side` is even.
pub fn max_pool(input: &[f32], side: usize, num_channels: usize, out: &mut [f32]) {
    let row_len = side * num_channels;
    for (y, out) in out.chunks_exact_mut(row_len / 2).enumerate() {
        out.fill(0.0);
        for input in input.chunks_exact(row_len).take(2 * y + 2).skip((2 * y).saturating_sub(1)) {
            for (x, out) in out.chunks_exact_mut(num_channels).enumerate() {
                for x in (2 * x).saturating_sub(1)..2 * x + 2 {
                    let pixel = &input[x * num_channels..][..num_channels];
                    for (out, &value) in out.iter_mut().zip(pixel) {
                        *out = if value > *out { value } else { *out };
                    }
                }
            }
        }
    }
}

/// Mean over all pixels: `[pixels, C]` to `[C]` f32.
pub fn average_pool(input: &[f32], out: &mut [f32]) {
    let num_pixels = input.len() / out.len();
    out.fill(0.0);
    for pixel in input.chunks_exact(out.len()) {
        for (out, &value) in out.iter_mut().zip(pixel) {
            *out += value;
        }
    }
    let scale = 1.0 / num_pixels as f32;
    for out in out {
        *out *= scale;
    }
}
