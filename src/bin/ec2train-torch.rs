//! The program with libtorch, as which `ec2train` goes on where it takes that.

use std::process::ExitCode;

fn main() -> ExitCode {
    ec2train::libtorch::link();
    ec2train::cli::main()
}
