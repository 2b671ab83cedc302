//! Which programs load libtorch.
#![cfg(feature = "torch")]
#![allow(clippy::unwrap_used)]

use std::process::Command;

/// Says which libraries the program would be loaded with.
fn loads_libtorch(program: &str) -> bool {
    let output = Command::new(program).env("LD_TRACE_LOADED_OBJECTS", "1").output().unwrap();
    let libraries = String::from_utf8(output.stdout).unwrap();
    assert!(libraries.contains("libc.so.6"), "{libraries}");
    libraries.contains("libtorch") || libraries.contains("libc10")
}

#[test]
fn only_the_program_that_ec2train_goes_on_as_loads_libtorch() {
    assert!(!loads_libtorch(env!("CARGO_BIN_EXE_ec2train")));
    assert!(loads_libtorch(env!("CARGO_BIN_EXE_ec2train-torch")));
}
