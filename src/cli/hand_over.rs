//! Going on as `ec2train-torch`, which is linked with libtorch.
//!
//! Loading libtorch takes 0.15 s and 110 MB, whatever is done with it: more than all else in a run that has
//! its features. So `ec2train` leaves that to another program, which is the same but for that.

use std::ffi::OsStr;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Beside `ec2train`.
const PROGRAM: &str = "ec2train-torch";

/// Replaces this process by that program, with the same arguments. Returns why that cannot be.
pub(super) fn hand_over() -> String {
    let program = match std::env::current_exe() {
        Ok(own) => own.with_file_name(PROGRAM),
        Err(error) => return format!("cannot tell where {PROGRAM} is: {error}"),
    };
    let mut arguments = std::env::args_os();
    let name = arguments.next();
    let error = Command::new(&program)
        .arg0(name.as_deref().unwrap_or(OsStr::new(PROGRAM)))
        .args(arguments)
        .exec();
    match error.kind() {
        io::ErrorKind::NotFound => format!("there is no {}", program.display()),
        _ => format!("cannot start {}: {error}", program.display()),
    }
}
