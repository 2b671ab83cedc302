//! What the machine did, by the time of the run.

use maud::Markup;

use super::chart::{Axis, Canvas, Caption, Ink, figure};
use crate::error::Result;
use crate::report::format::percent;
use crate::run::cpu_time::CpuTime;
use crate::run::timeline::{Sample, Stage, Timeline};

/// A stage that takes less of the width has no number in the plot.
const SMALLEST_LABELLED: f64 = 0.05;
/// A stage that begins in this part of the width begins with the axis.
const SMALLEST_MARKED: f64 = 0.01;

/// Busy, stolen and waiting for disks, one above the other.
pub(in crate::report) fn cpu(timeline: &Timeline, mean: CpuTime) -> Result<Markup> {
    let summary = format!(
        "Over the whole run {} busy, {} stolen by other virtual machines, {} idle while a disk was \
         waited for. Numbers are those of the stages in the table.",
        percent(mean.busy),
        percent(mean.steal),
        percent(mean.iowait)
    );
    let caption = Caption {
        id: "plot-cpu",
        title: "CPU",
        summary,
        legend: &[
            (Ink::First, "busy"),
            (Ink::Second, "stolen"),
            (Ink::Third, "waiting for a disk"),
        ],
    };
    let whole_percent = |value: f64| format!("{:.0} %", 100.0 * value);
    let y = Axis {
        range: 0.0..1.0,
        num_ticks: 6,
        format: &whole_percent,
        name: "part of all CPUs' time",
    };
    plot(&caption, timeline, &y, |canvas| {
        canvas.area(
            Ink::Third,
            &steps(timeline, |sample| sample.busy + sample.steal + sample.iowait),
        )?;
        canvas.area(Ink::Second, &steps(timeline, |sample| sample.busy + sample.steal))?;
        canvas.area(Ink::First, &steps(timeline, |sample| sample.busy))
    })
}

/// Resident memory of the process.
pub(in crate::report) fn memory(timeline: &Timeline, peak_bytes: u64) -> Result<Markup> {
    let megabytes = |bytes: u64| bytes as f64 / 1e6;
    let summary = format!("At most {:.0} MB were resident.", megabytes(peak_bytes));
    let caption = Caption { id: "plot-memory", title: "Memory", summary, legend: &[] };
    let sampled = timeline.samples.iter().map(|sample| sample.resident_bytes).max().unwrap_or(0);
    let top = 1.1 * megabytes(sampled.max(1_000_000));
    let whole = |value: f64| format!("{value:.0}");
    let y = Axis { range: 0.0..top, num_ticks: 6, format: &whole, name: "MB resident" };
    plot(&caption, timeline, &y, |canvas| {
        canvas.area(Ink::First, &steps(timeline, |sample| megabytes(sample.resident_bytes)))
    })
}

/// The axis of time.
struct Clock {
    /// What one on the axis stands for: ticks are round in the unit that is shown.
    unit_seconds: f64,
    unit: &'static str,
    /// Of the run, in that unit.
    end: f64,
}

impl Clock {
    fn of(timeline: &Timeline) -> Self {
        let end = timeline.stages.last().map_or(0.0, |stage| stage.end_seconds);
        let end = timeline.samples.last().map_or(end, |sample| sample.seconds.max(end)).max(1e-3);
        let (unit_seconds, unit) = if end > 300.0 { (60.0, "minutes") } else { (1.0, "seconds") };
        Clock { unit_seconds, unit, end: end / unit_seconds }
    }

    fn at(&self, seconds: f64) -> f64 {
        seconds / self.unit_seconds
    }
}

fn plot(
    caption: &Caption,
    timeline: &Timeline,
    y: &Axis,
    draw: impl FnOnce(&mut Canvas) -> Result<()>,
) -> Result<Markup> {
    let clock = Clock::of(timeline);
    let decimals = usize::from(clock.end < 10.0) + usize::from(clock.end < 1.0);
    let number = |value: f64| format!("{value:.decimals$}");
    let x = Axis { range: 0.0..clock.end, num_ticks: 7, format: &number, name: clock.unit };
    let top = y.range.end;
    let ends = |stage: &Stage| (clock.at(stage.start_seconds), clock.at(stage.end_seconds));
    figure(caption, &x, y, |canvas| {
        for (start, end) in timeline.stages.iter().skip(1).step_by(2).map(ends) {
            canvas.rectangle(Ink::Band, (start, 0.0), (end, top))?;
        }
        draw(canvas)?;
        for (number, (start, end)) in (1..).zip(timeline.stages.iter().map(ends)) {
            if start > SMALLEST_MARKED * clock.end {
                canvas.rule((start, 0.0), (start, top))?;
            }
            if end - start >= SMALLEST_LABELLED * clock.end {
                canvas.label((start.midpoint(end), top), &number.to_string())?;
            }
        }
        Ok(())
    })
}

/// A sample's value holds from the one before to it.
fn steps(timeline: &Timeline, value: impl Fn(&Sample) -> f64) -> Vec<(f64, f64)> {
    let clock = Clock::of(timeline);
    let mut start = 0.0;
    let mut points = Vec::with_capacity(2 * timeline.samples.len());
    for sample in &timeline.samples {
        let (end, value) = (clock.at(sample.seconds), value(sample));
        points.extend([(start, value), (end, value)]);
        start = end;
    }
    points
}
