//! The program from its arguments to its exit code.

use std::process::ExitCode;

use clap::Parser;

use super::Cli;
use super::hand_over::hand_over;
use crate::model::backbone::LIBTORCH_ENGINES;
use crate::run::console;

/// `EX_USAGE` of `sysexits.h`.
const USAGE: u8 = 64;

/// Does what the arguments of the process ask for.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let code = if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
            // Nothing can be done when the terminal is gone.
            let _ = error.print();
            return code;
        }
    };
    let needs_libtorch = LIBTORCH_ENGINES.get().is_none() && cli.needs_libtorch();
    let why_not = needs_libtorch.then(hand_over);
    console::init();
    if let Some(why_not) = why_not {
        log::warn!("goes on without libtorch: {why_not}. `cargo build --release` makes it");
    }
    let code = match cli.run() {
        Ok(()) => 0,
        Err(error) => {
            console::say(format_args!("ec2train: error: {error}"));
            error.exit_code()
        }
    };
    // All is written. libtorch's destructors would take 80 ms to free what the system frees.
    signal_hook::low_level::exit(code.into())
}
