//! From a hyperparameter's text to its value. What is expected instead is the error.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// A whole number.
pub(super) fn whole<T>(text: &str, range: RangeInclusive<T>) -> Result<T, String>
where
    T: FromStr + PartialOrd + Display,
{
    text.parse()
        .ok()
        .filter(|value| range.contains(value))
        .ok_or_else(|| format!("a whole number from {} to {}", range.start(), range.end()))
}

/// A number above zero.
pub(super) fn positive(text: &str, most: f64) -> Result<f64, String> {
    number(text)
        .filter(|&value| value > 0.0 && value <= most)
        .ok_or_else(|| format!("a number above 0, at most {most}"))
}

/// A number from zero on.
pub(super) fn from_zero(text: &str, most: f64) -> Result<f64, String> {
    number(text)
        .filter(|value| (0.0..=most).contains(value))
        .ok_or_else(|| format!("a number from 0 to {most}"))
}

/// A share: from zero on, below one.
pub(super) fn share(text: &str) -> Result<f64, String> {
    number(text)
        .filter(|value| (0.0..1.0).contains(value))
        .ok_or_else(|| "a number from 0 on, below 1".into())
}

fn number(text: &str) -> Option<f64> {
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_out_of_range_and_no_numbers_are_refused() {
        assert_eq!(whole::<usize>("60", 1..=100), Ok(60));
        for text in ["0", "101", "-1", "1.5", "1e1", "", "many"] {
            assert!(whole::<usize>(text, 1..=100).unwrap_err().contains("1 to 100"), "{text}");
        }
        assert_eq!(positive("3e-3", 10.0), Ok(3e-3));
        for text in ["0", "-1", "NaN", "inf", "11", "x"] {
            assert!(positive(text, 10.0).is_err(), "{text}");
        }
        assert_eq!(from_zero("0", 1.0), Ok(0.0));
        assert!(from_zero("nan", 1.0).is_err());
        assert_eq!(share("0.9"), Ok(0.9));
        assert!(share("1").is_err());
    }
}
