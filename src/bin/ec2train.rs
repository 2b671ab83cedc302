//! The program: see `ec2train --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    ec2train::cli::main()
}
