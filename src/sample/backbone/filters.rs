//! Kernels of image filters, row by row, in f64.

use std::f64::consts::{PI, TAU};

/// A square kernel of `side * side` weights.
#[derive(Debug, Clone, PartialEq)]
pub struct Kernel {
    side: usize,
    /// Row by row.
    pub weights: Vec<f64>,
}

impl Kernel {
    /// A kernel from its value at `(x, y)`, in pixels from its centre, y down.
    fn new(side: usize, value: impl Fn(f64, f64) -> f64) -> Kernel {
        let at = |i: usize| i as f64 - (side / 2) as f64;
        let weights = (0..side * side).map(|i| value(at(i % side), at(i / side))).collect();
        Kernel { side, weights }
    }

    /// A blur: a Gaussian of standard deviation `sigma` pixels, its sum 1.
    pub fn gaussian(side: usize, sigma: f64) -> Kernel {
        let mut kernel = Kernel::new(side, |x, y| (-(x * x + y * y) / (2.0 * sigma * sigma)).exp());
        let sum: f64 = kernel.weights.iter().sum();
        kernel.weights.iter_mut().for_each(|weight| *weight /= sum);
        kernel
    }

    /// A filter for spots: a blur minus a wider blur.
    pub fn spot(side: usize, sigma: f64) -> Kernel {
        let wide = Kernel::gaussian(side, 1.6 * sigma);
        let mut kernel = Kernel::gaussian(side, sigma);
        for (weight, wide) in kernel.weights.iter_mut().zip(wide.weights) {
            *weight -= wide;
        }
        kernel.scaled_to_length_1()
    }

    /// A filter for waves of that length that run at `angle` (radians from the x axis).
    pub fn gabor(side: usize, wave: Wave, angle: f64) -> Kernel {
        let Wave { length, phase, sigma, slenderness } = wave;
        let (sin, cos) = angle.sin_cos();
        let across = |x: f64, y: f64| x * cos + y * sin;
        let envelope = |x: f64, y: f64| {
            let (u, v) = (across(x, y), slenderness * (y * cos - x * sin));
            (-(u * u + v * v) / (2.0 * sigma * sigma)).exp()
        };
        let carrier = |x: f64, y: f64| (TAU * across(x, y) / length + phase).cos();
        let window = Kernel::new(side, envelope);
        let mut kernel = Kernel::new(side, |x, y| envelope(x, y) * carrier(x, y));
        // Without the mean of the window, so that a plain surface gives exactly nothing.
        let mean = kernel.weights.iter().sum::<f64>() / window.weights.iter().sum::<f64>();
        for (weight, window) in kernel.weights.iter_mut().zip(window.weights) {
            *weight -= mean * window;
        }
        kernel.scaled_to_length_1()
    }

    /// 3x3 filters for edges or lines, at `count` angles spread evenly over half a turn.
    pub fn oriented_3x3(phase: Phase, count: usize) -> Vec<Kernel> {
        let phase = match phase {
            Phase::Edge => -PI / 2.0,
            Phase::Line => 0.0,
        };
        let wave = Wave { length: 3.0, phase, sigma: 1.0, slenderness: 1.0 };
        (0..count).map(|i| Kernel::gabor(3, wave, PI * i as f64 / count as f64)).collect()
    }

    /// The kernel with every weight's sign changed.
    pub fn negated(&self) -> Kernel {
        let weights = self.weights.iter().map(|weight| -weight).collect();
        Kernel { side: self.side, weights }
    }

    fn scaled_to_length_1(mut self) -> Kernel {
        let length = self.weights.iter().map(|weight| weight * weight).sum::<f64>().sqrt();
        self.weights.iter_mut().for_each(|weight| *weight /= length);
        self
    }
}

/// What a Gabor filter answers to.
#[derive(Debug, Clone, Copy)]
pub struct Wave {
    /// Wavelength in pixels.
    pub length: f64,
    /// 0 for lines, a quarter turn for edges, in radians.
    pub phase: f64,
    /// Standard deviation of the window along the wave, in pixels.
    pub sigma: f64,
    /// How much narrower the window's fall-off is across the wave: 0.6 makes it 1 / 0.6 as long.
    pub slenderness: f64,
}

/// Which of two filters a quarter wave apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Odd: light on one side, dark on the other.
    Edge,
    /// Even: light between dark.
    Line,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(kernel: &Kernel) -> f64 {
        kernel.weights.iter().sum()
    }

    #[test]
    fn a_plain_surface_gives_nothing_but_in_a_blur() {
        let wave = Wave { length: 4.0, phase: 0.3, sigma: 1.6, slenderness: 0.6 };
        assert!(sum(&Kernel::gabor(7, wave, 0.4)).abs() < 1e-12);
        assert!(sum(&Kernel::spot(7, 0.8)).abs() < 1e-12);
        for kernel in Kernel::oriented_3x3(Phase::Line, 8) {
            assert!(sum(&kernel).abs() < 1e-12);
        }
        assert!((sum(&Kernel::gaussian(7, 2.0)) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn an_edge_filter_at_angle_0_answers_to_change_along_x() {
        let kernel = &Kernel::oriented_3x3(Phase::Edge, 4)[0];
        for row in kernel.weights.chunks(3) {
            assert!(row[0] < -0.1 && row[1].abs() < 1e-12 && row[2] > 0.1, "{row:?}");
        }
    }
}
