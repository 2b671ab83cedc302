//! The command line.

mod bench;
mod check;
mod evaluate;
mod export;
mod hand_over;
mod predict;
mod program;
#[cfg(feature = "serve")]
mod serve;
mod status;
mod train;

use std::io::{self, Write};

use clap::{Parser, Subcommand};
use rustix::fs::FileType;

use crate::config::TrainFrom;
use crate::distributed::Topology;
use crate::error::{Action, Error, Result};
use crate::job::Job;
use crate::model::backbone::Engine;
use crate::run::{console, signals};
use crate::{config, fetch, sample};

pub use program::main;

/// Trains an image classifier by transfer learning on a CPU machine.
///
/// Without a command it trains: ResNet50 with a new head, on data/dogImages, into TrainedModels.
/// Paths and hyperparameters are constants in src/config.rs.
#[derive(Debug, Parser)]
#[command(version, disable_help_subcommand = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,

    /// Work on the built-in sample: drawn images and a constructed backbone, not pretrained
    #[arg(long, global = true)]
    sample: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Train, test, save TrainedModels/model.pth (what happens without a command)
    Train,
    /// Evaluate the saved model on the test split
    Evaluate {
        /// Also with ten views of each image, which takes ten times as long
        #[arg(long)]
        views: bool,
    },
    /// Classify images with the saved model
    Predict(predict::Arguments),
    /// Write the saved model in the formats of other programs, into TrainedModels/export
    Export(export::Arguments),
    /// Read every image of the data set and report what is wrong
    Check {
        /// Write JSON
        #[arg(long)]
        json: bool,
    },
    /// Measure this machine, stage by stage: about a minute, no data needed
    Bench {
        /// Write JSON
        #[arg(long)]
        json: bool,
        /// Append the figures to TrainedModels/bench/bench.csv
        #[arg(long)]
        save: bool,
    },
    /// Show the running or last run, and the saved model
    Status {
        /// Write JSON
        #[arg(long)]
        json: bool,
    },
    /// Serve the saved model over HTTP: GET /ping, POST /invocations, a page at /
    #[cfg(feature = "serve")]
    Serve {
        /// Address and port; port 0 is a free one
        #[arg(long, value_name = "ADDRESS:PORT", default_value = config::SERVE_ADDRESS)]
        listen: std::net::SocketAddr,
    },
    /// Download the pretrained weights and the dog breeds
    Fetch,
    /// Draw the built-in sample
    Sample,
}

impl Cli {
    /// Whether what the command line asks for takes libtorch on this machine, or is faster with it.
    fn needs_libtorch(&self) -> bool {
        match self.command.as_ref().unwrap_or(&Command::Train) {
            Command::Train => {
                config::TRAIN_FROM == TrainFrom::Layer4
                    || Topology::from_env().is_ok_and(|topology| topology.world_size > 1)
                    || Engine::fastest_needs_libtorch()
            }
            Command::Evaluate { .. } | Command::Predict(_) => Engine::fastest_needs_libtorch(),
            #[cfg(feature = "serve")]
            Command::Serve { .. } => Engine::fastest_needs_libtorch(),
            Command::Export(arguments) => arguments.needs_libtorch(),
            // Of every engine that runs here.
            Command::Bench { .. } => true,
            Command::Check { .. } | Command::Status { .. } | Command::Fetch | Command::Sample => {
                false
            }
        }
    }

    /// Does what the command line asks for.
    ///
    /// # Errors
    /// The error's exit code is the process's.
    pub fn run(self) -> Result<()> {
        let job = if self.sample { Job::sample() } else { Job::real() };
        let command = self.command.unwrap_or(Command::Train);
        // What keeps nothing may be ended by the operating system.
        let keeps_files = matches!(
            command,
            Command::Train | Command::Export(_) | Command::Fetch | Command::Sample
        );
        if keeps_files {
            signals::install()?;
        }
        match command {
            Command::Train => train::run(&job),
            Command::Evaluate { views } => evaluate::run(&job, views),
            Command::Predict(arguments) => predict::run(&job, &arguments),
            Command::Export(arguments) => export::run(&job, &arguments),
            Command::Check { json } => check::run(&job, json),
            Command::Bench { json, save } => bench::run(json, save),
            Command::Status { json } => status::run(&job, json),
            #[cfg(feature = "serve")]
            Command::Serve { listen } => serve::run(&job, listen),
            Command::Fetch => fetch::fetch_all(&progress()),
            Command::Sample => sample::ensure(
                config::SAMPLE_DATA_DIR.as_ref(),
                config::SAMPLE_WEIGHTS_DIR.as_ref(),
            ),
        }
    }
}

fn progress() -> fetch::Progress {
    console::bars().map_or_else(fetch::Progress::lines, fetch::Progress::bars)
}

/// Results go to stdout, all at once; logs go to stderr. A reader that went away, as `head` or a
/// terminal does, is no error.
fn print(text: &str) -> Result<()> {
    match write(text.as_bytes()) {
        Err(error) if !is_gone(&error) => Err(Error::io(Action::Write, "standard output")(error)),
        _ => Ok(()),
    }
}

fn write(bytes: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes).and_then(|()| stdout.flush())
}

fn is_gone(error: &io::Error) -> bool {
    // Of a terminal, not of a disk.
    let hung_up = error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error())
        && rustix::fs::fstat(io::stdout())
            .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice);
    hung_up || error.kind() == io::ErrorKind::BrokenPipe
}

fn print_json(value: &impl serde::Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| Error::Internal(format!("cannot write JSON: {error}")))?;
    print(&(text + "\n"))
}

/// One row of a table of measures.
fn metrics_row(name: &str, metrics: &crate::metrics::Metrics) -> String {
    format!(
        "{name:<6} {:>7} {:>9.4} {:>8.2} % {:>8.2} %\n",
        metrics.num_samples,
        metrics.loss,
        100.0 * metrics.top1_accuracy,
        100.0 * metrics.top5_accuracy
    )
}

const METRICS_HEADER: &str = "split   images      loss      top-1      top-5\n";
