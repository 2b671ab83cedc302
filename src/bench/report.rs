//! What a benchmark found, for people.

use serde::Serialize;

use super::quartiles::Quartiles;
use crate::run::cpu_time::CpuTime;
use crate::run::host::Host;

/// A measured figure.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figure {
    /// What was measured, as in "backbone fp32-avx2".
    pub name: String,
    /// As in "images/s".
    pub unit: &'static str,
    /// Threads that worked at once.
    pub num_threads: usize,
    /// Of the rounds.
    pub quartiles: Quartiles,
}

/// Everything that belongs to a benchmark's figures.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// End of the measurements, UTC.
    pub created: jiff::Timestamp,
    /// Name and version of this program.
    pub program: String,
    /// The machine.
    pub host: Host,
    /// Instructions that decide on speed, of those the CPU has.
    pub instructions: Vec<String>,
    /// What a training on this machine computes with.
    pub engine: String,
    /// Threads that a training uses.
    pub num_workers: usize,
    /// In the order of the stages.
    pub figures: Vec<Figure>,
    /// End-to-end throughput as a part of the backbone's alone.
    pub end_to_end_of_backbone: f64,
    /// What the machine's CPUs did meanwhile.
    pub cpu: CpuTime,
    /// The most memory that was resident until images went from files to features, as in a training.
    pub peak_memory_bytes: u64,
    /// What makes the figures doubtful, in words.
    pub warnings: Vec<String>,
}

/// Steal from which it is mentioned, as a part of the CPU time.
const MUCH_STEAL: f64 = 0.02;
/// Distance of the quartiles from which it is mentioned, as a part of the median.
const MUCH_SPREAD: f64 = 0.10;

impl Report {
    /// Adds what a reader has to be warned of.
    pub(super) fn warn(&mut self) {
        if self.cpu.steal > MUCH_STEAL {
            self.warnings.push(format!(
                "other machines took {:.1} % of the CPU time (steal): measure again",
                100.0 * self.cpu.steal
            ));
        }
        for figure in &self.figures {
            let spread = figure.quartiles.spread();
            if spread > MUCH_SPREAD {
                self.warnings.push(format!(
                    "{}: the quartiles are {:.0} % of the median apart",
                    figure.name,
                    100.0 * spread
                ));
            }
        }
    }

    /// A table of at most 80 columns.
    pub fn table(&self) -> String {
        let Report { host, .. } = self;
        let mut text = format!(
            "{}, {:.0}\n{}, {} CPUs, {:.1} GB memory\n",
            self.program,
            self.created,
            host.cpu_model,
            host.num_cpus,
            host.memory_bytes as f64 / 1e9
        );
        let instructions = match self.instructions.as_slice() {
            [] => "none of avx2, avx512f, amx".to_owned(),
            instructions => instructions.join(" "),
        };
        text += &format!("instructions: {instructions}\n\n");
        text += "stage                        threads     median       quartiles   rounds\n";
        for Figure { name, unit, num_threads, quartiles } in &self.figures {
            let is_engine = *name == format!("backbone {}", self.engine);
            let mark = if is_engine { "  <- a training" } else { "" };
            text += &format!(
                "{name:<28} {num_threads:>7} {:>10} {:>15} {:>8}  {unit}{mark}\n",
                number(quartiles.median),
                format!("{} - {}", number(quartiles.lower), number(quartiles.upper)),
                quartiles.num_rounds,
            );
        }
        text += &format!(
            "\nend to end is {:.0} % of the backbone alone, with at most {} MB memory; \
             CPU busy {:.0} %, steal {:.1} %\n",
            100.0 * self.end_to_end_of_backbone,
            self.peak_memory_bytes / 1_000_000,
            100.0 * self.cpu.busy,
            100.0 * self.cpu.steal
        );
        for warning in &self.warnings {
            text += &format!("warning: {warning}\n");
        }
        text
    }
}

/// Three significant digits.
fn number(value: f64) -> String {
    let decimals = if value >= 100.0 {
        0
    } else if value >= 10.0 {
        1
    } else {
        2
    };
    format!("{value:.decimals$}")
}
