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
    match cli.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            console::say(format_args!("ec2train: error: {error}"));
            ExitCode::from(error.exit_code())
        }
    }
}
