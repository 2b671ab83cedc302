//! What a person sees while the program runs: log lines on stderr, a bar on a terminal.

use std::fmt;
use std::io::{IsTerminal, Write};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use indicatif_log_bridge::LogWrapper;

use super::terminal::Terminal;

/// Where there is no terminal, a line this often instead of a bar.
const LINE_INTERVAL: Duration = Duration::from_secs(10);

static BARS: OnceLock<MultiProgress> = OnceLock::new();

/// Starts logging to stderr: `info` and above, or what `RUST_LOG` says. Colours are left out where
/// stderr is no terminal or `NO_COLOR` is set.
pub fn init() {
    let environment = env_logger::Env::default().default_filter_or("info");
    let logger = env_logger::Builder::from_env(environment)
        .format_target(false)
        .format_timestamp_secs()
        .build();
    let level = logger.filter();
    let bars = BARS.get_or_init(new_bars);
    // A second call, as in tests, keeps the first logger.
    if LogWrapper::new(bars.clone(), logger).try_init().is_ok() {
        log::set_max_level(level);
    }
}

/// Where bars can be drawn: on a terminal, above which log lines keep their place.
pub fn bars() -> Option<MultiProgress> {
    std::io::stderr().is_terminal().then(|| BARS.get_or_init(new_bars).clone())
}

fn new_bars() -> MultiProgress {
    MultiProgress::with_draw_target(if std::io::stderr().is_terminal() {
        ProgressDrawTarget::term_like(Box::new(Terminal::stderr()))
    } else {
        ProgressDrawTarget::hidden()
    })
}

/// Writes a line to stderr past the log, whoever still reads it.
pub fn say(line: fmt::Arguments) {
    // A terminal that is gone is no reason to end otherwise.
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Counts towards a known total.
#[derive(Debug)]
pub struct Progress {
    label: &'static str,
    unit: &'static str,
    total: u64,
    done: u64,
    started: Instant,
    last_line: Instant,
    bar: ProgressBar,
}

impl Progress {
    /// Starts at zero of `total` things called `unit`.
    pub fn new(label: &'static str, unit: &'static str, total: u64) -> Self {
        let bar = match bars() {
            Some(bars) => {
                bars.add(ProgressBar::new(total).with_style(style(unit)).with_message(label))
            }
            None => ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::hidden()),
        };
        let now = Instant::now();
        Progress { label, unit, total, done: 0, started: now, last_line: now, bar }
    }

    /// Adds `amount`.
    pub fn inc(&mut self, amount: u64) {
        self.done += amount;
        self.bar.inc(amount);
        if self.bar.is_hidden()
            && self.done < self.total
            && self.last_line.elapsed() >= LINE_INTERVAL
        {
            self.last_line = Instant::now();
            let rate = self.rate();
            let left = (self.total - self.done) as f64 / rate;
            log::info!(
                "{}: {} of {} {}, {rate:.1} {}/s, about {} left",
                self.label,
                self.done,
                self.total,
                self.unit,
                self.unit,
                seconds(left)
            );
        }
    }

    /// Ends the bar, and says in a line how it went.
    pub fn finish(self) {
        self.bar.finish_and_clear();
        log::info!(
            "{}: {} {} in {}, {:.1} {}/s",
            self.label,
            self.done,
            self.unit,
            seconds(self.started.elapsed().as_secs_f64()),
            self.rate(),
            self.unit
        );
    }

    fn rate(&self) -> f64 {
        self.done as f64 / self.started.elapsed().as_secs_f64().max(1e-9)
    }
}

fn style(unit: &'static str) -> ProgressStyle {
    let template =
        "{msg} [{elapsed_precise}] {wide_bar} {human_pos}/{human_len}, {rate}, {eta} left";
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .with_key("rate", move |state: &ProgressState, out: &mut dyn fmt::Write| {
            // A bar that cannot be drawn is no reason to stop.
            let _ = write!(out, "{:.1} {unit}/s", state.per_sec());
        })
}

/// A duration for people: `4.2 s`, `3 min 07 s`, `2 h 05 min`.
pub fn seconds(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole {
        0..60 => format!("{seconds:.1} s"),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn durations_are_written_for_people() {
        assert_eq!(seconds(4.24), "4.2 s");
        assert_eq!(seconds(187.0), "3 min 07 s");
        assert_eq!(seconds(7500.0), "2 h 05 min");
    }
}
