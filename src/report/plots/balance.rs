//! How many train images the classes have.

use maud::Markup;

use super::chart::{Axis, Caption, Ink, figure};
use crate::error::Result;
use crate::report::format::{count, plural, whole};

/// Classes from the largest to the smallest. `counts` are of train, one for each class.
pub(in crate::report) fn class_balance(counts: &[usize]) -> Result<Markup> {
    let mut sorted = counts.to_vec();
    sorted.sort_unstable_by(|a, b| b.cmp(a));
    let largest = sorted.first().copied().unwrap_or(0);
    let smallest = sorted.last().copied().unwrap_or(0);
    let median = sorted.get(sorted.len() / 2).copied().unwrap_or(0);
    let summary = format!(
        "The largest class has {}, the smallest {}; the median is {}.",
        plural(largest, "image", "images"),
        count(smallest),
        count(median)
    );
    let caption =
        Caption { id: "plot-balance", title: "Train images per class", summary, legend: &[] };
    let x = Axis {
        range: 0.0..sorted.len().max(1) as f64,
        num_ticks: sorted.len().clamp(2, 7),
        format: &whole,
        name: "class, the largest first",
    };
    let y = Axis {
        range: 0.0..1.1 * largest.max(1) as f64,
        num_ticks: 6,
        format: &whole,
        name: "images",
    };
    let points: Vec<(f64, f64)> = (0u32..)
        .zip(&sorted)
        .flat_map(|(class, &count)| {
            [(f64::from(class), count as f64), (f64::from(class + 1), count as f64)]
        })
        .collect();
    figure(&caption, &x, &y, |canvas| canvas.area(Ink::First, &points))
}
