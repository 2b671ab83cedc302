//! A convolution in f64.

/// 3x3 with a pixel of padding, stride 1, then ReLU: `[N, side, side, C]`.
pub fn convolve(
    input: &[f32],
    num_images: usize,
    side: usize,
    num_in: usize,
    weight: &[f32],
    bias: &[f32],
) -> Vec<f64> {
    let mut out = Vec::new();
    for image in 0..num_images {
        for y in 0..side {
            for x in 0..side {
                for (output, &bias) in bias.iter().enumerate() {
                    let mut sum = f64::from(bias);
                    for tap in 0..9 {
                        let (row, column) = (y + tap / 3, x + tap % 3);
                        if row == 0 || row > side || column == 0 || column > side {
                            continue;
                        }
                        let pixel = (image * side + row - 1) * side + column - 1;
                        for channel in 0..num_in {
                            sum += f64::from(input[pixel * num_in + channel])
                                * f64::from(weight[(output * num_in + channel) * 9 + tap]);
                        }
                    }
                    out.push(sum.max(0.0));
                }
            }
        }
    }
    out
}
