//! How far a download is, on a terminal or in a log.

use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// Time between two lines where no bar can be drawn.
const LINE_INTERVAL: Duration = Duration::from_secs(5);

/// Where progress is shown.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    bars: Option<MultiProgress>,
}

impl Progress {
    /// Bars on a terminal.
    pub fn bars(bars: MultiProgress) -> Progress {
        Progress { bars: Some(bars) }
    }

    /// A line through [`log::info!`] every five seconds, for logs, cron and pipes.
    pub fn lines() -> Progress {
        Progress::default()
    }

    /// A new piece of work, measured in bytes; `label` says what it is.
    pub fn task(&self, label: &str) -> Task {
        let bar = self.bars.as_ref().map(|bars| {
            let bar = bars.add(ProgressBar::no_length());
            bar.set_style(style());
            bar.set_message(label.to_string());
            bar
        });
        Task {
            label: label.to_string(),
            bar,
            total_bytes: None,
            done_bytes: 0,
            moved_bytes: 0,
            started: Instant::now(),
            last_line: Instant::now(),
        }
    }
}

/// A piece of work that shows how far it is. Its bar disappears with it.
#[derive(Debug)]
pub struct Task {
    label: String,
    bar: Option<ProgressBar>,
    total_bytes: Option<u64>,
    done_bytes: u64,
    moved_bytes: u64,
    started: Instant,
    last_line: Instant,
}

impl Task {
    /// Jumps to `done_bytes` of `total_bytes` (where known) without counting the jump as speed:
    /// the start of a download, also of a resumed one.
    pub fn set(&mut self, done_bytes: u64, total_bytes: Option<u64>) {
        self.done_bytes = done_bytes;
        self.total_bytes = total_bytes;
        if let Some(bar) = &self.bar {
            match total_bytes {
                Some(total) => bar.set_length(total),
                None => bar.unset_length(),
            }
            bar.set_position(done_bytes);
            bar.reset_eta();
        }
    }

    /// Counts `num_bytes` more.
    pub fn advance(&mut self, num_bytes: u64) {
        self.done_bytes += num_bytes;
        self.moved_bytes += num_bytes;
        match &self.bar {
            Some(bar) => bar.set_position(self.done_bytes),
            None if self.last_line.elapsed() >= LINE_INTERVAL => {
                self.last_line = Instant::now();
                log::info!("{}", self.line());
            }
            None => {}
        }
    }

    /// Time since the work began.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    fn line(&self) -> String {
        let speed = speed(self.moved_bytes, self.elapsed());
        match self.total_bytes {
            Some(total) => {
                let percent = 100.0 * self.done_bytes as f64 / total.max(1) as f64;
                format!(
                    "{}: {} of {} ({percent:.0} %), {speed}",
                    self.label,
                    megabytes(self.done_bytes),
                    megabytes(total)
                )
            }
            None => format!("{}: {}, {speed}", self.label, megabytes(self.done_bytes)),
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// "12.3 MB", decimal.
pub(super) fn megabytes(num_bytes: u64) -> String {
    format!("{:.1} MB", num_bytes as f64 / 1e6)
}

/// "12.3 MB/s".
fn speed(num_bytes: u64, elapsed: Duration) -> String {
    format!("{:.1} MB/s", num_bytes as f64 / 1e6 / elapsed.as_secs_f64().max(1e-3))
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template(
        "{msg} {wide_bar} {decimal_bytes} of {decimal_total_bytes}, {decimal_bytes_per_sec}, {eta} left",
    )
    .unwrap_or_else(|_| ProgressStyle::default_bar())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_how_far_and_how_fast() {
        let mut task = Progress::lines().task("dogImages.zip");
        task.set(250_000_000, Some(1_000_000_000));
        task.advance(50_000_000);
        task.started -= Duration::from_secs(10);
        assert!(task.line().starts_with("dogImages.zip: 300.0 MB of 1000.0 MB (30 %), "));
        // The 250 MB of an earlier run are not this run's speed.
        assert!(task.line().ends_with(", 5.0 MB/s"), "{}", task.line());
    }

    #[test]
    fn an_unknown_length_has_no_percentage() {
        let mut task = Progress::lines().task("x");
        task.advance(1_500_000);
        assert!(task.line().starts_with("x: 1.5 MB, "), "{}", task.line());
    }

    #[test]
    fn the_bars_template_is_valid() {
        assert!(ProgressStyle::with_template("{decimal_bytes} {eta}").is_ok());
        let bars = MultiProgress::with_draw_target(indicatif::ProgressDrawTarget::hidden());
        let mut task = Progress::bars(bars).task("x");
        task.set(1, Some(3));
        task.advance(1);
        assert_eq!(task.bar.as_ref().map(|bar| bar.position()), Some(2));
    }
}
