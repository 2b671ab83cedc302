//! The program: see `ec2train --help`.

use std::process::ExitCode;

use clap::Parser;
use ec2train::cli::Cli;
use ec2train::run::console;

/// `EX_USAGE` of `sysexits.h`.
const USAGE: u8 = 64;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let code = if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
            // Nothing can be done when the terminal is gone.
            let _ = error.print();
            return code;
        }
    };
    console::init();
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
