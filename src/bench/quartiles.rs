//! The middle of several measurements, and how far they spread.

use serde::Serialize;

/// Quartiles, interpolated linearly between the measurements: type 7 of Hyndman and Fan (1996), as
/// in NumPy and R.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Quartiles {
    /// A quarter of the measurements are less.
    pub lower: f64,
    /// Half of them are less.
    pub median: f64,
    /// Three quarters are less.
    pub upper: f64,
    /// How many there were.
    pub num_rounds: usize,
}

impl Quartiles {
    /// `None` without measurements.
    pub fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let last = sorted.len().checked_sub(1)?;
        let at = |part: f64| {
            let position = part * last as f64;
            let below = position.floor() as usize;
            let above = (below + 1).min(last);
            sorted[below] + (position - below as f64) * (sorted[above] - sorted[below])
        };
        let num_rounds = sorted.len();
        Some(Quartiles { lower: at(0.25), median: at(0.5), upper: at(0.75), num_rounds })
    }

    /// Distance of the outer quartiles as a part of the median.
    pub fn spread(&self) -> f64 {
        (self.upper - self.lower) / self.median
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles_are_those_of_numpy() {
        // numpy.quantile([7, 1, 4, 2], [0.25, 0.5, 0.75])
        let quartiles = Quartiles::of(&[7.0, 1.0, 4.0, 2.0]).unwrap();
        let found = (quartiles.lower, quartiles.median, quartiles.upper);
        assert_eq!(found, (1.75, 3.0, 4.75));
        assert_eq!(quartiles.num_rounds, 4);
        assert_eq!(quartiles.spread(), 1.0);
    }

    #[test]
    fn one_measurement_is_all_three_and_none_is_none() {
        let quartiles = Quartiles::of(&[5.0]).unwrap();
        assert_eq!((quartiles.lower, quartiles.median, quartiles.upper), (5.0, 5.0, 5.0));
        assert_eq!(Quartiles::of(&[]), None);
    }
}
