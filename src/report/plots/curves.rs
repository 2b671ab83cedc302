//! Loss and accuracies by epoch.

use maud::Markup;

use super::chart::{Axis, Caption, Ink, figure};
use crate::error::Result;
use crate::metrics::Metrics;
use crate::report::format::{percent, whole};
use crate::train::fit::Epoch;

const LEGEND: [(Ink, &str); 2] = [(Ink::First, "train, during the epoch"), (Ink::Second, "valid")];

/// Loss, top-1 and top-5 accuracy. `best_epoch` is marked.
pub(in crate::report) fn learning_curves(
    history: &[Epoch],
    best_epoch: usize,
) -> Result<Vec<Markup>> {
    let two_decimals = |value: f64| format!("{value:.2}");
    let whole_percent = |value: f64| format!("{:.0} %", 100.0 * value);
    let three_decimals = |value: f64| format!("{value:.3}");
    Ok(vec![
        Curve {
            id: "plot-loss",
            title: "Loss",
            unit: "cross-entropy in nats",
            value: |metrics| metrics.loss,
            tick: &two_decimals,
            exact: &three_decimals,
        }
        .draw(history, best_epoch)?,
        Curve {
            id: "plot-top-one",
            title: "Top-1 accuracy",
            unit: "part of the images",
            value: |metrics| metrics.top1_accuracy,
            tick: &whole_percent,
            exact: &percent,
        }
        .draw(history, best_epoch)?,
        Curve {
            id: "plot-top-five",
            title: "Top-5 accuracy",
            unit: "part of the images",
            value: |metrics| metrics.top5_accuracy,
            tick: &whole_percent,
            exact: &percent,
        }
        .draw(history, best_epoch)?,
    ])
}

struct Curve<'a> {
    id: &'a str,
    title: &'a str,
    unit: &'a str,
    value: fn(&Metrics) -> f64,
    tick: &'a dyn Fn(f64) -> String,
    exact: &'a dyn Fn(f64) -> String,
}

impl Curve<'_> {
    fn draw(&self, history: &[Epoch], best_epoch: usize) -> Result<Markup> {
        let points = |metrics: fn(&Epoch) -> &Metrics| -> Vec<(f64, f64)> {
            history
                .iter()
                .map(|epoch| (epoch.epoch as f64, (self.value)(metrics(epoch))))
                .filter(|(_, value)| value.is_finite())
                .collect()
        };
        let (train, valid) = (points(|epoch| &epoch.train), points(|epoch| &epoch.valid));
        let best = valid.iter().copied().find(|&(epoch, _)| epoch == best_epoch as f64);
        let summary = match (valid.first(), best) {
            (Some(first), Some(best)) => format!(
                "On valid from {} after the first epoch to {} after epoch {best_epoch}, which was \
                 kept (the dot), of {}.",
                (self.exact)(first.1),
                (self.exact)(best.1),
                history.len()
            ),
            _ => "No values.".to_owned(),
        };
        let caption = Caption { id: self.id, title: self.title, summary, legend: &LEGEND };
        let all = || train.iter().chain(&valid).map(|&(_, value)| value);
        let (low, high) = (all().fold(f64::MAX, f64::min), all().fold(f64::MIN, f64::max));
        // A loss begins at zero, an accuracy ends at one: where the ideal lies.
        let range = if self.id == "plot-loss" {
            0.0..1.05 * high.max(1e-3)
        } else {
            (low - 0.05).clamp(0.0, 0.9)..1.0
        };
        let last = history.last().map_or(1, |epoch| epoch.epoch) as f64;
        let num_ticks = history.len().clamp(2, 7);
        let x = Axis { range: 1.0..last.max(2.0), num_ticks, format: &whole, name: "epoch" };
        let y = Axis { range, num_ticks: 6, format: self.tick, name: self.unit };
        figure(&caption, &x, &y, |canvas| {
            canvas.line(Ink::First, &train)?;
            canvas.line(Ink::Second, &valid)?;
            best.map_or(Ok(()), |best| canvas.dot(Ink::Second, best))
        })
    }
}
