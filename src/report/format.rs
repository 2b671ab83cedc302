//! Numbers as the report writes them.

/// As in `86.4 %`, on one line.
pub(super) fn percent(part: f64) -> String {
    format!("{:.1}\u{a0}%", 100.0 * part)
}

/// As in `86.4 %`, or a dash for what does not exist.
pub(super) fn percent_or_dash(part: Option<f64>) -> String {
    part.map_or_else(|| "–".to_owned(), percent)
}

/// As in `+1.2`, with a true minus.
pub(super) fn signed(value: f64, decimals: usize) -> String {
    let text = format!("{value:+.decimals$}");
    if text.trim_start_matches(['+', '-', '0', '.']).is_empty() {
        return format!("±{}", text.trim_start_matches(['+', '-']));
    }
    text.replace('-', "−")
}

/// As in `1,234,567`.
pub(super) fn count(number: usize) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() * 4 / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A whole number, and nothing for ticks between two.
pub(super) fn whole(value: f64) -> String {
    if (value - value.round()).abs() < 1e-6 { format!("{value:.0}") } else { String::new() }
}

/// As in `3 images` and `1 image`.
pub(super) fn plural(number: usize, one: &str, many: &str) -> String {
    format!("{} {}", count(number), if number == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(percent(0.8643), "86.4\u{a0}%");
        assert_eq!(percent_or_dash(None), "–");
        assert_eq!(
            [0.5, -1.25, 0.0, -0.001].map(|value| signed(value, 1)),
            ["+0.5", "−1.2", "±0.0", "±0.0"]
        );
        assert_eq!([0, 999, 1000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(
            [plural(1, "image", "images"), plural(2, "image", "images")],
            ["1 image", "2 images"]
        );
    }
}
